import type { Logger } from "../../../core/log.ts";
import { utf8Decoder } from "../../../core/text.ts";
import { atLeast } from "../../../core/version.ts";
import type { JetStreamAccountStats, StreamConfig, StreamInfo } from "../../../nats/client.ts";
import { RequestError, type Requests } from "../link/requests.ts";
import { StartError } from "../link/start-error.ts";
import { JetStreamError, PASSING } from "./api-error.ts";
import type { WantedStream } from "./config.ts";
import { isLeaderless, isUnborn, lifeOf, nameOf, newLifeId, type StreamLife } from "./identity.ts";
import { type Sizing, withRoom } from "./room.ts";

/** What a server says of itself when one connects. */
export interface ServerFacts {
  readonly version: string;
  readonly clustered: boolean;
}

/** What would be done with a stream at a start; `refuse`: the start would fail with `error`. */
export type StreamPlan =
  | { readonly action: "keep" | "create" }
  | { readonly action: "update"; readonly changes: readonly string[] }
  | { readonly action: "refuse"; readonly error: StartError };

/** How long the server may take over a request about a stream, ms. */
const API_TIMEOUT_MS = 3_000;
/** Pause before a stream is looked at again that another instance is making, ms. */
const RETRY_MS = 10;
/** How often a stream that is being made is looked at. */
const UNBORN_LOOKS = 200;
/** Time that instances which run have to write the name of a stream's life again, which somebody took away, ms. */
const NAMING_PATIENCE_MS = 500;
/** Pause before a stream is looked at again that has no leader at the moment, ms, and how often. */
const LEADERLESS_RETRY_MS = 250;
const LEADERLESS_LOOKS = 8;

// JetStream API error codes (nats-server, server/errors.json).
const NOT_FOUND = 10059;
const IN_USE = 10058;
/** A cluster of 2.15 says so to the second of two who make a stream at once. */
const MOVING = 10124;
const OVERLAP = 10065;
const REPLICAS = 10074;
const NO_STORAGE = 10047;
const NO_PLACE = 10005;
const NO_JETSTREAM = [10039, 10076];
/** No message at that sequence: not found, or its removal failed. */
const NO_MESSAGE: readonly number[] = [10043, 10057];

/**
 * Creates streams and keeps their configuration right. Any number of instances may do so at once: creating a stream that
 * is there already with the same configuration succeeds. Every method may also throw RequestError.
 */
export class StreamAdmin {
  readonly #requests: Requests;
  readonly #log: Logger;

  constructor(requests: Requests, log: Logger) {
    this.#requests = requests;
    this.#log = log;
  }

  /** What the account uses and may use. @throws StartError when the server, or the account, has no JetStream */
  async checkServer(): Promise<JetStreamAccountStats> {
    try {
      return await this.api<JetStreamAccountStats>("INFO");
    } catch (error) {
      const missing = error instanceof JetStreamError && NO_JETSTREAM.includes(error.code);
      if (!missing && !(error instanceof RequestError && error.why === "absent")) throw error;
      throw new StartError(
        "jetstream",
        "this NATS server (or this account) has no JetStream",
        "Start it with: nats-server -js -sd <directory>",
      );
    }
  }

  /** The stream's life, or null when there is no such stream. */
  async life(name: string): Promise<StreamLife | null> {
    const info = await this.info(name);
    return info && lifeOf(info);
  }

  /**
   * Makes the stream as wanted: created when absent, updated when it differs.
   * @throws StartError that says what differs and what to type, when the server refuses
   */
  async ensure(wanted: WantedStream): Promise<StreamLife> {
    for (let attempt = 0; ; attempt++) {
      const found = await this.#namedByOthers(wanted.name);
      if (found) return lifeOf(await this.#conform(found, wanted));
      try {
        const named = { ...wanted, ...nameOf({}, { id: newLifeId(), before: [] }) };
        const made = await this.#finished(await withRoom(named, 0, this.sizing("CREATE", wanted.name)));
        const life = lifeOf(made);
        this.#log.info("stream created", { stream: wanted.name, life: life.id });
        return life;
      } catch (error) {
        if (!(error instanceof JetStreamError)) throw error;
        if (attempt === 10 || !(await this.#inTheMaking(error, wanted))) {
          throw await this.#explain(error, wanted);
        }
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  /** The stream; where its life has no name, after those who know it by one had the time to write that again. */
  async #namedByOthers(name: string): Promise<StreamInfo | null> {
    const found = await this.info(name);
    if (!found || lifeOf(found).named) return found;
    await new Promise((resolve) => setTimeout(resolve, NAMING_PATIENCE_MS));
    return await this.info(name);
  }

  /** What {@link ensure} would do with the stream as things are; changes nothing. */
  async plan(wanted: WantedStream, server: ServerFacts): Promise<StreamPlan> {
    const found = await this.info(wanted.name);
    const refused = await this.#foreseen(found, wanted, server);
    if (refused) return { action: "refuse", error: refused };
    if (!found) return { action: "create" };
    const { named, id } = lifeOf(found);
    const changes = differences(found.config, wanted);
    if (!named) changes.push(`its life has no name, will be ${id}`);
    return changes.length > 0 ? { action: "update", changes } : { action: "keep" };
  }

  /**
   * Writes into the stream's configuration which life it is of, unless it says another one than `asked` by now: then
   * that is what comes back. The last of those who write at once counts.
   */
  async rename(
    name: string,
    asked: Pick<StreamLife, "id" | "named">,
    life: Pick<StreamLife, "id" | "before">,
  ): Promise<StreamLife> {
    const found = await this.info(name);
    if (!found) throw new RequestError("absent", name);
    const now = lifeOf(found);
    if (now.id !== asked.id || now.named !== asked.named) return now;
    const config = { ...found.config, ...nameOf(found.config, life) };
    return lifeOf(await this.api<StreamInfo>(`STREAM.UPDATE.${name}`, config));
  }

  /** Removes the messages of a subject before a sequence. */
  async purge(name: string, subject: string, before: number): Promise<void> {
    await this.api(`STREAM.PURGE.${name}`, { filter: subject, seq: before });
  }

  /** Names of the streams that capture some of a subject. */
  async capturing(subject: string): Promise<string[]> {
    const answer = await this.api<{ streams?: string[] | null }>("STREAM.NAMES", { subject });
    return answer.streams ?? [];
  }

  /** Removes one message, if it is there. */
  async removeMessage(name: string, seq: number): Promise<void> {
    try {
      await this.api(`STREAM.MSG.DELETE.${name}`, { seq, no_erase: true });
    } catch (error) {
      if (!(error instanceof JetStreamError && NO_MESSAGE.includes(error.code))) throw error;
    }
  }

  /** Names of all streams of the account. */
  async names(): Promise<string[]> {
    const names: string[] = [];
    for (let total = 1; names.length < total; ) {
      const page = await this.api<{ total: number; streams?: string[] | null }>("STREAM.NAMES", {
        offset: names.length,
      });
      if (!page.streams?.length) break;
      names.push(...page.streams);
      total = page.total;
    }
    return names;
  }

  /** Subjects with kept messages; at most the 100,000 that one answer of the server holds. */
  async subjectsOf(name: string, filter: string): Promise<string[]> {
    return [...(await this.countsOf(name, filter)).keys()];
  }

  /** As {@link subjectsOf}, with the number of messages kept of each. */
  async countsOf(name: string, filter: string): Promise<ReadonlyMap<string, number>> {
    const info = await this.api<StreamInfo>(`STREAM.INFO.${name}`, { subjects_filter: filter });
    return new Map(Object.entries(info.state.subjects ?? {}));
  }

  /** The stream as the server knows it, or null when there is none. */
  async info(name: string): Promise<StreamInfo | null> {
    try {
      return await this.#finished(await this.api<StreamInfo>(`STREAM.INFO.${name}`));
    } catch (error) {
      if (error instanceof JetStreamError && error.code === NOT_FOUND) return null;
      throw error;
    }
  }

  /**
   * Asks again about a stream that another instance is making at this moment (its zero time would be taken for the name
   * of its life), or whose replicas have no leader: what they say then may be behind.
   */
  async #finished(info: StreamInfo): Promise<StreamInfo> {
    let found = info;
    const again = async (pauseMs: number) => {
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      found = await this.api<StreamInfo>(`STREAM.INFO.${info.config.name}`);
    };
    for (let looks = 0; isUnborn(found) && looks < UNBORN_LOOKS; looks++) await again(RETRY_MS);
    for (let looks = 0; isLeaderless(found); looks++) {
      if (looks === LEADERLESS_LOOKS) throw new RequestError("timeout", `leader of ${info.config.name}`);
      await again(LEADERLESS_RETRY_MS);
    }
    return found;
  }

  /** One call of JetStream's API. @throws JetStreamError, RequestError */
  async api<T>(what: string, body?: unknown): Promise<T> {
    const payload = body === undefined ? "" : JSON.stringify(body);
    const answer = await this.#requests.ask(`$JS.API.${what}`, payload, API_TIMEOUT_MS);
    const parsed = JSON.parse(utf8Decoder.decode(answer.data)) as T & {
      error?: { err_code?: number; description: string };
    };
    if (parsed.error) throw new JetStreamError(parsed.error.err_code ?? 0, parsed.error.description);
    return parsed;
  }

  /** How the server is asked to create or change a stream whose size it is to find room for. */
  sizing(verb: "CREATE" | "UPDATE", name: string): Sizing<object, StreamInfo> {
    return {
      make: (sized) => this.api(`STREAM.${verb}.${name}`, sized),
      resize: (sized) => this.#known(() => this.api<StreamInfo>(`STREAM.UPDATE.${name}`, sized)),
    };
  }

  /** Asks about a stream that is there, and that the server which answers may not have heard of yet. */
  async #known<T>(ask: () => Promise<T>): Promise<T> {
    for (let look = 1; ; look++) {
      try {
        return await ask();
      } catch (error) {
        const unheard = error instanceof JetStreamError && error.code === NOT_FOUND;
        if (!unheard || look === LEADERLESS_LOOKS) throw error;
        await new Promise((resolve) => setTimeout(resolve, LEADERLESS_RETRY_MS));
      }
    }
  }

  async #conform(found: StreamInfo, wanted: WantedStream): Promise<StreamInfo> {
    const differing = differences(found.config, wanted);
    const fixed = obstacles(found.config);
    const { id, before, named } = lifeOf(found);
    if (differing.length === 0 && fixed.length === 0 && named) return found;
    if (fixed.length > 0) throw unfit(found, wanted, "That cannot be changed");
    try {
      // A stream of an earlier version, or one whose name was taken away: all who find it so give it the same.
      const config = { ...found.config, ...wanted, ...(named ? {} : nameOf(found.config, { id, before })) };
      const update = this.sizing("UPDATE", wanted.name);
      const updated = isUnbounded(found.config, wanted)
        ? await withRoom({ ...config, max_bytes: undefined }, found.state.bytes, update)
        : await update.make(config);
      this.#log.info("stream updated", { stream: wanted.name, life: id, changed: differing.join("; ") });
      return updated;
    } catch (error) {
      if (!(error instanceof JetStreamError) || (error.passing && error.code !== NO_PLACE)) throw error;
      if ([OVERLAP, REPLICAS, NO_PLACE].includes(error.code)) throw await this.#explain(error, wanted);
      throw unfit(found, wanted, `The server refuses to change it (${error.message})`);
    }
  }

  /** Whether another instance is making this stream right now: it is there, or its subjects are taken by nobody else. */
  async #inTheMaking({ code }: JetStreamError, wanted: WantedStream): Promise<boolean> {
    // Before 2.10 each of those who make it at once counts as one more that needs room.
    if (code === NO_STORAGE) return (await this.info(wanted.name)) !== null;
    return (
      code === IN_USE || code === MOVING || (code === OVERLAP && (await this.#othersOn(wanted)).length === 0)
    );
  }

  /** What the server would refuse to do about a stream, as far as that can be told beforehand. */
  async #foreseen(
    found: StreamInfo | null,
    wanted: WantedStream,
    server: ServerFacts,
  ): Promise<StartError | undefined> {
    if (found && (obstacles(found.config).length > 0 || !canBecome(found.config, wanted, server.version)))
      return unfit(found, wanted, "That cannot be changed");
    const others = await this.#othersOn(wanted);
    if (others.length > 0) return captured(wanted, others);
    if (!found && wanted.num_replicas > 1 && !server.clustered)
      return tooFewServers(wanted, "the server is in no cluster");
    return undefined;
  }

  /** Says in words what the server refused. */
  async #explain({ code, message }: JetStreamError, wanted: WantedStream): Promise<StartError> {
    if (code === OVERLAP) return captured(wanted, await this.#othersOn(wanted));
    if (code === REPLICAS) return tooFewServers(wanted, message);
    if (code === NO_PLACE && wanted.placement) return nowhere(wanted, message);
    const problem = `stream ${wanted.name} cannot be made: ${message} (${code})`;
    const passing = (PASSING as readonly number[]).includes(code);
    return new StartError("stream", problem, "What the account may use: nats account info", passing);
  }

  /** Other streams that capture what this one is to capture. */
  async #othersOn({ name, subjects }: WantedStream): Promise<string[]> {
    return (await this.capturing(subjects[0]!)).filter((other) => other !== name);
  }
}

function unfit({ config }: StreamInfo, wanted: WantedStream, why: string): StartError {
  const flaws = [...obstacles(config), ...differences(config, wanted)].join("; ");
  return new StartError(
    "stream",
    `stream ${wanted.name} is not as it must be: ${flaws}. ${why}`,
    `To give up what it holds and have it made anew, type: nats stream rm ${wanted.name}`,
  );
}

function captured({ subjects }: WantedStream, others: readonly string[]): StartError {
  const other = others.join(", ") || "another stream";
  return new StartError(
    "stream",
    `${other} captures ${subjects[0]} already, and a subject belongs to one stream only`,
    `Take it away there (nats stream edit ${other} --subjects …) or remove it (nats stream rm ${other})`,
  );
}

function tooFewServers({ name, num_replicas }: WantedStream, why: string): StartError {
  return new StartError(
    "stream",
    `stream ${name} is to have ${num_replicas} replicas, and the servers are fewer (${why})`,
    "Lower history.replicas, or add servers to the cluster",
  );
}

function nowhere({ name, placement }: WantedStream, why: string): StartError {
  const home = placement?.cluster;
  return new StartError(
    "stream",
    `stream ${name} is to live in ${home}, and no NATS cluster of that name has a server for it (${why})`,
    `Call the cluster so in its servers' configuration, cluster { name: ${home} }, or set nats.home ` +
      "(or the namespace's home) to the region of one that is there: nats stream info shows where a stream is",
    true,
  );
}

/** What of a stream is not as wanted, in words. */
function differences(found: StreamConfig, wanted: WantedStream): string[] {
  const out: string[] = [];
  for (const key of Object.keys(wanted) as (keyof WantedStream)[]) {
    const is = written(key, found);
    const must = written(key, wanted);
    if (is !== must) out.push(`${key} is ${is}, must be ${must}`);
  }
  if (isUnbounded(found, wanted)) out.push("max_bytes is -1, will be limited");
  return out;
}

/** Whether a stream has no limit of bytes and its settings name none; what an operator has set stays. */
function isUnbounded(found: StreamConfig, wanted: WantedStream): boolean {
  return wanted.max_bytes === undefined && !(found.max_bytes > 0);
}

/** What a stream must not be, and cannot be rid of. */
function obstacles(found: StreamConfig): string[] {
  const out: string[] = [];
  if (found.mirror) out.push(`it mirrors ${found.mirror.name}`);
  if (found.sources?.length) out.push("it has sources");
  if (found.sealed) out.push("it is sealed");
  if (found.deny_purge) out.push("it denies purges");
  return out;
}

/** Whether servers of this version let an update make the one into the other (measured on 2.9.10 and 2.12.5). */
function canBecome(found: StreamConfig, wanted: WantedStream, version: string): boolean {
  // Discarding by subject goes with "new" only, and the update leaves it as it is.
  if (found.storage !== wanted.storage || found.discard_new_per_subject) return false;
  // Both since 2.10 (nats-server#3803, #4361), but for work queues.
  const retains = found.retention === wanted.retention;
  const republishes = pair(found.republish) === pair(wanted.republish);
  return atLeast(version, "2.10") ? retains || found.retention !== "workqueue" : retains && republishes;
}

/** A part of a configuration as it can be compared, and read. */
function written(key: keyof WantedStream, config: Partial<WantedStream> | StreamConfig): string {
  if (key === "republish") return pair(config.republish);
  if (key === "placement") return show(config.placement?.cluster);
  return show((config as Partial<WantedStream>)[key]);
}

function pair(republish: StreamConfig["republish"]): string {
  if (!republish) return "none";
  return `${republish.src} → ${republish.dest}${republish.headers_only ? " (headers only)" : ""}`;
}

function show(value: unknown): string {
  return value === undefined ? "none" : Array.isArray(value) ? value.join(" ") : String(value);
}
