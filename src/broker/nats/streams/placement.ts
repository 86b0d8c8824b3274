import type { Logger } from "../../../core/log.ts";
import type { Stats } from "../../../core/stats.ts";
import type { Subjects } from "../../../core/subject.ts";
import type { Link } from "../link/link.ts";
import type { Requests } from "../link/requests.ts";
import { retryUntilReady } from "../link/retry.ts";
import { StartError } from "../link/start-error.ts";
import type { StreamAdmin } from "./admin.ts";
import { JetStreamError } from "./api-error.ts";
import type { WantedStream } from "./config.ts";
import { strayMessage } from "./copy-check.ts";
import { Home, type RemoteStream } from "./home.ts";
import { newLifeId, type StreamLife } from "./identity.ts";
import { LeaderStore } from "./leader-store.ts";
import { isAway, Mirrors } from "./mirrors.ts";
import { ReplicatedStream } from "./replicated-stream.ts";
import { Store } from "./store.ts";

export interface StreamPlacementOptions {
  /** The region of this instance. */
  readonly region: string;
  readonly link: Link;
  readonly requests: Requests;
  readonly streams: StreamAdmin;
  readonly subjects: Subjects;
  readonly log: Logger;
  readonly stats: Stats;
}

/** A stream that is followed here, with what it is read from. */
export interface FollowedStream extends RemoteStream {
  readonly store: ReplicatedStream;
}

/** One stream as this instance reads it. */
interface Placed {
  readonly wanted: WantedStream;
  readonly store: ReplicatedStream;
  /** Name of the copy in this region; none where the stream lives here, or nowhere in particular. */
  readonly copy: string | undefined;
  /** Id of the life that the copy is, or is to be, of. */
  life: string;
  keeping: Promise<void> | undefined;
  /** The copy was compared with the stream since this instance started. */
  compared: boolean;
  keptAt: number;
}

/** What was found of a stream: at its home, in the copy while that is away, or it was gone and is made anew. */
export interface Inspection {
  readonly life: StreamLife;
  readonly from: "home" | "copy" | "made";
}

/** What is asked, and done, about the life of one stream. Every method may throw JetStreamError, RequestError. */
export interface StreamLives {
  /** Looks at the stream, and makes it anew when it is gone; while its home is away, looks at the copy. */
  inspect(): Promise<Inspection>;
  /** The stream is of this life from now on: a copy of another one is removed and made anew. */
  adopt(life: StreamLife): void;
  /**
   * The stream went back: gives it a new life, unless another instance has done so. What the old one had up to `fork`
   * it has still (-1: nothing). Resolves with the life it has now.
   */
  renew(old: StreamLife, cut: { readonly fork: number; readonly mark: number }): Promise<StreamLife>;
  /** Writes into the stream's configuration what is known of its life, unless that is not what was found any more. */
  amend(found: StreamLife, life: StreamLife): Promise<StreamLife>;
}

/** How often a stream is looked for before it counts as gone, and the pause between, ms. */
const LOOKS_FOR_LOST = 3;
const LOST_RETRY_MS = 400;
/** Longest pause before the one who finds a cut writes it down, ms. */
const RENEW_JITTER_MS = 300;
/** How long a start waits for a home in another region before it makes do with the copy, ms. */
const HOME_PATIENCE_MS = 5_000;
/** Pause before a copy that cannot be made or read is tried again, ms. */
const KEEP_PAUSE_MS = 5_000;
/** Pause before a stream that is gone is made anew, ms. */
const REMAKE_PAUSE_MS = 500;

/** Where the streams live, as seen from one region: their homes, and the copies kept here of those that live elsewhere. */
export class StreamPlacement {
  readonly #options: StreamPlacementOptions;
  readonly #mirrors: Mirrors;
  readonly #placed: Placed[] = [];
  readonly #startedAway = new Set<string>();
  readonly #homes: Home[] = [];

  constructor(options: StreamPlacementOptions) {
    this.#options = options;
    this.#mirrors = new Mirrors(options.streams, options.region, options.log);
  }

  /** Purges a channel in every copy of a stream that answers; the others keep it until it is too old. Never rejects. */
  readonly purge = (stream: string, subject: string, before: number) =>
    this.#mirrors.purge(stream, subject, before).catch((error: unknown) => {
      this.#options.log.warn("copies cannot be purged", { stream, error });
    });

  /**
   * Makes a stream as wanted. While its home is away: what the copy here knows of it, or `undefined` for a stream
   * without one. @throws StartError
   */
  async start(wanted: WantedStream, copied: boolean): Promise<StreamLife | undefined> {
    const { streams, log } = this.#options;
    const home = this.#remote(wanted);
    try {
      // One that did not answer for another stream just now is asked once more.
      const silentMs = home !== undefined && this.#startedAway.has(home) ? 0 : HOME_PATIENCE_MS;
      const patience = home === undefined ? {} : { silentMs };
      const life = await retryUntilReady(() => streams.ensure(wanted), patience);
      if (copied && home === undefined && wanted.placement) await this.#mirrorless(wanted.name);
      return life;
    } catch (error) {
      if (!isAway(error)) throw error;
      if (home === undefined) throw silentStream(wanted.name, error as Error);
      const copy = copied ? this.#options.subjects.mirror(wanted.name, this.#options.region) : undefined;
      const life = copy ? await this.#mirrors.life(copy) : undefined;
      if (copied && !life) throw silentStream(wanted.name, error as Error);
      log.warn("home region does not answer; starting without it", { stream: wanted.name, home });
      this.#startedAway.add(home);
      return life ?? undefined;
    }
  }

  /** The reads of a stream of channels. Where it lives in another region a copy is kept here from now on. */
  open(wanted: WantedStream, { id: life }: StreamLife): ReplicatedStream {
    const { link, requests, stats, subjects, region } = this.#options;
    const home = this.#remote(wanted);
    const leader = new LeaderStore(link, requests, wanted.name);
    const origin = home === undefined ? new Store(link, requests, wanted.name) : leader;
    const replicated = wanted.num_replicas > 1;
    const store = new ReplicatedStream(origin, stats, () => this.#drop(placed), leader, replicated);
    const placed: Placed = {
      ...{ wanted, store, life },
      copy: home === undefined ? undefined : subjects.mirror(wanted.name, region),
      keeping: undefined,
      compared: false,
      keptAt: Number.NEGATIVE_INFINITY,
    };
    this.#placed.push(placed);
    if (home !== undefined && this.#startedAway.has(home)) {
      store.away = true;
      store.mirror = new Store(link, requests, placed.copy!);
    } else this.#keep(placed);
    return store;
  }

  /**
   * What is asked and done about the life of a stream that was opened here.
   * @param high highest sequence of the stream seen
   */
  lives(store: ReplicatedStream, high: () => number): StreamLives {
    const placed = this.#placed.find((one) => one.store === store)!;
    const { streams } = this.#options;
    const { stream } = store;
    return {
      inspect: () => this.#inspect(placed, high),
      adopt: (life) => this.#adopt(placed, life),
      async renew(old, cut) {
        // Whoever is second sees what the first has written.
        await new Promise((resolve) => setTimeout(resolve, Math.random() * RENEW_JITTER_MS));
        const before = [...(cut.fork < 0 ? [] : [{ id: old.id, ...cut }]), ...old.before];
        return await streams.rename(stream, old, { id: newLifeId(), before });
      },
      amend: (found, life) => streams.rename(stream, found, life),
    };
  }

  async #inspect(placed: Placed, high: () => number): Promise<Inspection> {
    const { streams, stats } = this.#options;
    const { name } = placed.wanted;
    let life: StreamLife | null;
    try {
      life = await streams.life(name);
      // One such answer proves nothing: it may be a server's that has not heard of the stream yet.
      for (let looks = 1; !life && looks < LOOKS_FOR_LOST; looks++) {
        await new Promise((resolve) => setTimeout(resolve, LOST_RETRY_MS));
        life = await streams.life(name);
      }
    } catch (error) {
      // Better no figure than an old one.
      stats.streamRoom.delete(name);
      const known = placed.copy && isAway(error) ? await this.#mirrors.life(placed.copy) : null;
      if (known?.id !== placed.life) throw error;
      // It may be behind what was seen: that is no loss.
      return { life: { ...known, lastSeq: Math.max(known.lastSeq, high()) }, from: "copy" };
    }
    if (life) stats.streamRoom.set(name, { bytes: life.bytes, limit: life.maxBytes });
    return life ? { life, from: "home" } : { life: await remake(streams, placed.wanted), from: "made" };
  }

  #adopt(placed: Placed, { id }: StreamLife): void {
    if (id === placed.life) return;
    placed.life = id;
    this.#drop(placed);
    placed.keptAt = Number.NEGATIVE_INFINITY;
    this.#keep(placed);
  }

  /** Watches the homes of these streams, too, from now on. */
  watch(streams: Iterable<FollowedStream>): void {
    const { link, log } = this.#options;
    for (const stream of streams) {
      const region = this.#remote(this.#placed.find(({ store }) => store === stream.store)!.wanted);
      if (region === undefined) continue;
      let home = this.#homes.find((one) => one.region === region);
      if (!home) {
        const away = this.#startedAway.has(region);
        home = new Home({ region, log, away, connected: () => link.connected });
        this.#homes.push(home);
      }
      home.follow(stream);
    }
  }

  /** To be called once a second. */
  tick(): void {
    const { stats, link } = this.#options;
    for (const home of this.#homes) home.tick();
    stats.homesAway = this.#homes.filter(({ away }) => away).length;
    stats.mirrorLag = Math.max(0, ...this.#homes.map(({ lag }) => lag));
    if (link.connected) for (const placed of this.#placed) if (!placed.store.mirror) this.#keep(placed);
  }

  /** The home of a stream, unless that is this region or nowhere in particular. */
  #remote({ placement }: WantedStream): string | undefined {
    const home = placement?.cluster;
    return home === this.#options.region ? undefined : home;
  }

  /** Where a stream lives there is no copy of it, though one may be left from before it moved here. */
  async #mirrorless(stream: string): Promise<void> {
    const { subjects, region, log } = this.#options;
    const copy = subjects.mirror(stream, region);
    await this.#mirrors.remove(copy, stream).catch((error: unknown) => {
      log.warn("a leftover copy cannot be removed", { stream: copy, error });
    });
  }

  #drop(placed: Placed): void {
    placed.store.mirror = undefined;
    placed.store.mirrorSeq = 0;
  }

  /** Once: a copy that holds anything else than its origin is made anew. */
  async #compare(placed: Placed, name: string): Promise<void> {
    const { link, requests, log } = this.#options;
    if (placed.compared) return;
    const { wanted, life, store } = placed;
    const stray = await strayMessage(new Store(link, requests, name), store.home);
    placed.compared = true;
    if (!stray) return;
    log.error("copy holds messages that its stream does not; creating it again", {
      stream: name,
      sequence: stray.seq,
    });
    await this.#mirrors.remake(name, wanted, life);
  }

  /** Makes the copy and reads from it, in its own time: without it everything is asked of the home. */
  #keep(placed: Placed): void {
    const { link, requests, log } = this.#options;
    const { copy, wanted, life, store } = placed;
    if (!copy || placed.keeping || performance.now() - placed.keptAt < KEEP_PAUSE_MS) return;
    placed.keptAt = performance.now();
    placed.keeping = this.#mirrors
      .ensure(copy, wanted, life)
      .then(() => this.#compare(placed, copy))
      .then(() => {
        if (placed.life === life) store.mirror = new Store(link, requests, copy);
      })
      .catch((error: unknown) => {
        const remedy = error instanceof JetStreamError ? noCluster(this.#options.region) : undefined;
        log.warn("copy cannot be created", { stream: copy, error, ...(remedy && { remedy }) });
      })
      .finally(() => {
        placed.keeping = undefined;
      });
  }
}

function silentStream(stream: string, { message }: Error): StartError {
  return new StartError(
    "stream",
    `nobody answers for stream ${stream}: the servers that hold it are away, or JetStream has no leader (${message})`,
    "Start them. Are they gone for good, give up what they held, and have it made anew: " +
      `nats stream rm -f ${stream}   until nats stream info ${stream} knows it no more`,
  );
}

function noCluster(region: string): string {
  return `the NATS servers of this region must be a cluster of the name ${region}`;
}

/**
 * Makes a stream anew that was deleted. Not at once: nats-server 2.9 announces and answers "not found" before it has
 * removed the files, and then removes those of the new stream.
 */
export async function remake(streams: StreamAdmin, wanted: WantedStream): Promise<StreamLife> {
  await new Promise((resolve) => setTimeout(resolve, REMAKE_PAUSE_MS));
  return await streams.ensure(wanted);
}
