import type { Logger } from "../../../core/log.ts";
import type { StreamConfig } from "../../../nats/client.ts";
import { RequestError } from "../link/requests.ts";
import type { StreamAdmin } from "./admin.ts";
import { JetStreamError } from "./api-error.ts";
import { placed, type WantedStream } from "./config.ts";
import { lifeOf, type StreamLife } from "./identity.ts";
import { withRoom } from "./room.ts";

/** Pause between removing a copy and making it anew: nats-server 2.9 removes files late, and then the new ones, ms. */
const REMAKE_PAUSE_MS = 500;
/** Longest pause before a copy that has not got the mark of a purge is looked at again, ms; the sum is about twice that. */
const MARK_PATIENCE_MS = 2_000;
/** JetStream API error codes (nats-server, server/errors.json): another instance makes it; its servers are away. */
const IN_USE = 10058;
const OFFLINE = [10118, 10008];

/** A stream of a divided namespace, and no copy of the undivided one. */
const IS_PART = /^_p\d+of\d+$|^_p\d+of\d+_/;

type MirrorConfig = Omit<WantedStream, "subjects" | "duplicate_window" | "republish"> & {
  readonly description: string;
  readonly mirror: { readonly name: string };
};

/**
 * The copies of one region. A copy keeps what its origin keeps, under the same sequences, and answers reads under its
 * own name. Which life of the origin it is of stands in its description (nats-server 2.9 has no metadata): so an
 * instance can start from it while the origin is away.
 */
export class Mirrors {
  readonly #streams: StreamAdmin;
  readonly #region: string;
  readonly #log: Logger;

  constructor(streams: StreamAdmin, region: string, log: Logger) {
    this.#streams = streams;
    this.#region = region;
    this.#log = log;
  }

  /**
   * Makes the copy, or keeps it as it must be. One of another life of its origin is removed and made anew.
   * @throws JetStreamError, RequestError
   */
  async ensure(name: string, origin: WantedStream, life: string): Promise<void> {
    const wanted = mirrorOf(name, origin, this.#region, life);
    const found = await this.#streams.info(name);
    if (found?.config.mirror?.name === origin.name && found.config.description === wanted.description) {
      const config: StreamConfig = { ...found.config, ...wanted, placement: found.config.placement };
      if (JSON.stringify(config) !== JSON.stringify(found.config)) {
        await this.#streams.api(`STREAM.UPDATE.${name}`, config);
      }
      return;
    }
    if (found) {
      this.#log.warn("copy belongs to a stream that no longer exists; creating it again", { stream: name });
      await this.#streams.api(`STREAM.DELETE.${name}`);
      await new Promise((resolve) => setTimeout(resolve, REMAKE_PAUSE_MS));
    }
    try {
      // Promoted, it is the same life, cut short where the copying ended. (2.9 leaves metadata out.)
      const metadata = { "trunkline-life": life };
      await withRoom({ ...wanted, metadata }, 0, this.#streams.sizing("CREATE", name));
      this.#log.info("copy created", { stream: name, of: origin.name });
    } catch (error) {
      if (!(error instanceof JetStreamError && error.code === IN_USE)) throw error;
    }
  }

  /** Removes the copy and makes it anew. @throws JetStreamError, RequestError */
  async remake(name: string, origin: WantedStream, life: string): Promise<void> {
    await this.#streams.api(`STREAM.DELETE.${name}`);
    await new Promise((resolve) => setTimeout(resolve, REMAKE_PAUSE_MS));
    await this.ensure(name, origin, life);
  }

  /**
   * Removes the messages of a subject before a sequence, that of the mark for it, from every copy of a stream that has it.
   * @throws JetStreamError, RequestError
   */
  async purge(stream: string, subject: string, before: number): Promise<void> {
    const copies = copiesOf(stream, await this.#streams.names());
    await Promise.all(copies.map((name) => this.#purgeOne(name, subject, before)));
  }

  /** Not before the copy has the mark that says so: a page read from it would be taken for whole. */
  async #purgeOne(name: string, subject: string, mark: number): Promise<void> {
    for (let pause = 10; pause < MARK_PATIENCE_MS; pause *= 2) {
      if (((await this.#streams.life(name))?.lastSeq ?? 0) >= mark) {
        await this.#streams.purge(name, subject, mark);
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    this.#log.warn("copy lags too far behind to be purged", { stream: name });
  }

  /**
   * Removes the copy from the region that its origin lives in by now: it would answer direct gets in the origin's name,
   * with what it has got, which may be of an earlier life. @throws JetStreamError, RequestError
   */
  async remove(name: string, origin: string): Promise<void> {
    const found = await this.#streams.info(name);
    if (found?.config.mirror?.name !== origin) return;
    await this.#streams.api(`STREAM.DELETE.${name}`);
    this.#log.info("copy removed: its origin lives in this region", { stream: name, of: origin });
  }

  /** What the copy knows of its origin, or null when there is no copy. */
  async life(name: string): Promise<StreamLife | null> {
    const info = await this.#streams.info(name);
    const life = info && lifeOf(info);
    return life?.named ? life : null;
  }
}

/** Those of the names that are of copies of a stream. */
export function copiesOf(stream: string, names: readonly string[]): string[] {
  return names.filter((name) => name.startsWith(`${stream}_`) && !IS_PART.test(name.slice(stream.length)));
}

/** Whether an error says that a stream's servers do not answer, and not that something is wrong with the stream. */
export function isAway(error: unknown): boolean {
  if (error instanceof RequestError) return error.why !== "lost";
  return error instanceof JetStreamError && OFFLINE.includes(error.code);
}

function mirrorOf(name: string, origin: WantedStream, region: string, life: string): MirrorConfig {
  const { storage, retention, discard, max_age, max_msgs_per_subject, max_bytes, num_replicas } = origin;
  return {
    ...{ name, storage, retention, discard, max_age, max_msgs_per_subject, num_replicas },
    ...(max_bytes !== undefined && { max_bytes }),
    // Without it a copy keeps a message longer than its publisher said (`Nats-TTL`).
    ...(origin.allow_msg_ttl && { allow_msg_ttl: true }),
    description: `copy of ${origin.name}, life ${life}`,
    mirror: { name: origin.name },
    allow_direct: true,
    ...placed(region),
  };
}
