import type { StreamConfig, StreamInfo } from "../../../nats/client.ts";

/** A life that a stream had before it went back: what it has up to `fork` it has still. */
export interface FormerLife {
  readonly id: string;
  readonly fork: number;
  /** The stream's last sequence when the cut was noticed; 0: an operator ended that life, and nothing of it counts. */
  readonly mark: number;
}

/**
 * What the life of a stream is, as far as positions are concerned. Its id is of our own making and stands in the
 * stream's configuration: the time of creation, which NATS gives, changes without a loss (a restart after an update,
 * a restored backup).
 */
export interface StreamLife {
  readonly id: string;
  /** What positions of this life are marked with: `t_` and the id. */
  readonly epoch: string;
  /** The lives before, the latest first. */
  readonly before: readonly FormerLife[];
  /** The id stands in the stream's configuration. */
  readonly named: boolean;
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** The server that leads the stream; empty where there is no cluster. */
  readonly leader: string;
  /** Bytes that it holds, and that it may hold; 0: it has no limit, or that is not known. */
  readonly bytes: number;
  readonly maxBytes: number;
}

type Named = Pick<StreamConfig, "description" | "metadata">;

/** Former lives that are written down. */
const MAX_FORMER = 4;

const ID_KEY = "trunkline-life";
const BEFORE_KEY = "trunkline-before";
/** What we write into a description, wherever in it: nats-server 2.9 knows no metadata. */
const OURS = /trunkline, life (\w+)(?:, before ((?:\w+@\d+-\d+ ?)+))?/;
const OF_COPY = /^copy of \S+, life (\w+)$/;
const FORMER = /(\w+)@(\d+)-(\d+)/g;

export function lifeOf(info: StreamInfo): StreamLife {
  const { config, created, state, cluster } = info;
  const named = readName(config);
  return {
    ...lifeNamed(named?.id ?? epochOf(created)),
    before: named?.before ?? [],
    named: named !== undefined,
    firstSeq: state.first_seq,
    lastSeq: state.last_seq,
    leader: cluster?.leader ?? "",
    bytes: state.bytes ?? 0,
    maxBytes: Math.max(0, config.max_bytes ?? 0),
  };
}

/** A life of which only the id is known. */
export function lifeNamed(id: string): StreamLife {
  return {
    ...{ id, epoch: `t_${id}`, before: [], named: true },
    ...{ firstSeq: 0, lastSeq: 0, leader: "", bytes: 0, maxBytes: 0 },
  };
}

/** A life that an operator ends: no position of it is believed any more. */
export function endedLife(id: string): FormerLife {
  return { id, fork: 0, mark: 0 };
}

/** Whether no position of a former life counts any more. */
export function isEnded({ mark }: FormerLife): boolean {
  return mark === 0;
}

/** Whether a life says of itself that it followed upon another. */
export function isHeir(life: StreamLife, old: StreamLife): boolean {
  return life.before.some(({ id }) => id === old.id);
}

/** Whether a life is another one than that which is known, and does not say that it followed upon it. */
export function isStranger(life: StreamLife, known: StreamLife): boolean {
  return life.id !== known.id && !isHeir(life, known);
}

/** The id of a life that begins now: 12 characters in base 36. */
export function newLifeId(): string {
  const values = crypto.getRandomValues(new Uint32Array(12));
  return Array.from(values, (value) => (value % 36).toString(36)).join("");
}

/** What a configuration says of the stream's life. */
function readName({ description, metadata }: Named): Pick<StreamLife, "id" | "before"> | undefined {
  const [, described, former = ""] = OURS.exec(description ?? "") ?? OF_COPY.exec(description ?? "") ?? [];
  const id = metadata?.[ID_KEY] ?? described;
  if (id === undefined || !/^\w+$/.test(id)) return undefined;
  const before = metadata?.[ID_KEY] === undefined ? former : (metadata[BEFORE_KEY] ?? "");
  return {
    id,
    before: Array.from(before.matchAll(FORMER), ([, old, fork, mark]) => ({
      id: old!,
      fork: Number(fork),
      mark: Number(mark),
    })),
  };
}

/** The parts of a configuration that name a life; what an operator wrote beside stays. */
export function nameOf({ description, metadata }: Named, life: Pick<StreamLife, "id" | "before">): Named {
  const former = life.before.slice(0, MAX_FORMER).map(({ id, fork, mark }) => `${id}@${fork}-${mark}`);
  const ours = `trunkline, life ${life.id}${former.length > 0 ? `, before ${former.join(" ")}` : ""}`;
  const theirs = OF_COPY.test(description ?? "") ? "" : (description ?? "");
  const kept = Object.entries(metadata ?? {}).filter(([key]) => key !== BEFORE_KEY);
  return {
    description: OURS.test(theirs) ? theirs.replace(OURS, ours) : theirs ? `${theirs}; ${ours}` : ours,
    metadata: {
      ...Object.fromEntries(kept),
      [ID_KEY]: life.id,
      ...(former.length > 0 && { [BEFORE_KEY]: former.join(" ") }),
    },
  };
}

/**
 * A short name for the moment a stream was created (RFC 3339 with nanoseconds): its microseconds in base 36. The id of
 * streams that an earlier version made.
 */
export function epochOf(created: string): string {
  const fraction = /\.(\d+)/.exec(created)?.[1] ?? "";
  const micros = Number(fraction.padEnd(6, "0").slice(0, 6));
  return (Math.floor(Date.parse(created) / 1000) * 1_000_000 + micros).toString(36);
}

/** Whether the server shows a stream it is still making: nats-server 2.9 does, without a time, in one of 500 races. */
export function isUnborn(info: StreamInfo): boolean {
  return info.created.startsWith("0001-01-01T"); // Go's zero time
}

/** Whether a stream's replicas have no leader at this moment: what the answer says may be behind. */
export function isLeaderless({ cluster }: StreamInfo): boolean {
  return cluster !== undefined && cluster !== null && !cluster.leader;
}
