import { RequestError } from "../../broker/nats/link/requests.ts";
import { type WantedStream, wantedStreams } from "../../broker/nats/streams/config.ts";
import { type FormerLife, lifeOf } from "../../broker/nats/streams/identity.ts";
import { LeaderStore } from "../../broker/nats/streams/leader-store.ts";
import { copiesOf } from "../../broker/nats/streams/mirrors.ts";
import { disagreement } from "../../broker/nats/streams/replica-check.ts";
import { Store } from "../../broker/nats/streams/store.ts";
import type { Config } from "../../config.ts";
import { subjects } from "../../core/subject.ts";
import type { NatsSession } from "../nats/session.ts";

/** What there is to say of one stream of channels. */
export interface StreamOverview {
  readonly stream: string;
  /** The id of its life; positions begin with `t_` and it. */
  readonly life: string;
  /** The id stands in the stream's configuration. */
  readonly named: boolean;
  /** Names of earlier lives under which positions count still, up to `fork`; the latest first. */
  readonly aliases: readonly FormerLife[];
  /** Times the store went back, as far as they are written down (four). */
  readonly cuts: number;
  readonly messages: number;
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** The newest message. */
  readonly tail?: { readonly sequence: number; readonly id?: string; readonly stored?: string };
  readonly bytes: number;
  readonly maxBytes?: number;
  /** Part of `maxBytes` that is used; at 1 the oldest messages go. */
  readonly full?: number;
  readonly leader?: string;
  readonly replicas: readonly { readonly name: string; readonly current: boolean; readonly lag: number }[];
  /** A sequence at which the replicas hold different messages. */
  readonly disagreeAt?: number;
  readonly copies: readonly CopyOverview[];
}

interface CopyOverview {
  readonly stream: string;
  readonly region: string;
  readonly life: string;
  /** Messages that it is behind its home. */
  readonly lag: number;
  /** It is of this life of its stream; else an instance of its region makes it anew. */
  readonly current: boolean;
}

/** A stream that nobody answers for, or that is not there. */
export interface MissingStream {
  readonly stream: string;
  readonly missing: "not made yet" | "does not answer";
}

/** Looks at every stream of channels that the settings name. */
export async function streamOverviews(
  config: Config,
  session: NatsSession,
): Promise<(StreamOverview | MissingStream)[]> {
  const { namespaces, nats } = config;
  const wanted = wantedStreams(subjects(nats.root), namespaces, session.link.messageTtl);
  const names = await session.streams.names();
  const followed = wanted.filter(({ republish }) => republish).filter(isOfChannels(config));
  return await Promise.all(followed.map(({ name }) => overview(name, names, session)));
}

/** The stream of entries republishes, too. */
function isOfChannels({ nats }: Config): (stream: WantedStream) => boolean {
  const entries = subjects(nats.root).entryStream();
  return ({ name }) => name !== entries;
}

async function overview(
  stream: string,
  names: readonly string[],
  session: NatsSession,
): Promise<StreamOverview | MissingStream> {
  try {
    return (await look(stream, names, session)) ?? { stream, missing: "not made yet" };
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    return { stream, missing: "does not answer" };
  }
}

async function look(
  stream: string,
  names: readonly string[],
  session: NatsSession,
): Promise<StreamOverview | undefined> {
  const { link, requests, streams } = session;
  const info = await streams.info(stream);
  if (!info) return undefined;
  const life = lifeOf(info);
  const { messages, bytes } = info.state;
  const { max_bytes: most } = info.config;
  const [newest, copies, place] = await Promise.all([
    new LeaderStore(link, requests, stream).last(">"),
    Promise.all(copiesOf(stream, names).map((name) => copyOf(name, stream, life, session))),
    info.config.num_replicas > 1 ? disagreement(new Store(link, requests, stream), life) : undefined,
  ]);
  return {
    ...{ stream, life: life.id, named: life.named, aliases: life.before },
    cuts: life.before.filter(({ mark }) => mark > 0).length,
    ...{ messages, firstSequence: life.firstSeq, lastSequence: life.lastSeq },
    ...(newest && {
      tail: {
        sequence: newest.seq,
        ...(newest.id !== undefined && { id: newest.id }),
        ...(newest.stored !== undefined && { stored: newest.stored }),
      },
    }),
    bytes,
    ...(most > 0 && { maxBytes: most, full: bytes / most }),
    ...(life.leader && { leader: life.leader }),
    replicas: (info.cluster?.replicas ?? []).map(({ name, current, lag = 0 }) => ({ name, current, lag })),
    ...(place && { disagreeAt: place.sequence }),
    copies: copies.filter((copy) => copy !== undefined),
  };
}

async function copyOf(
  name: string,
  stream: string,
  life: { readonly id: string; readonly lastSeq: number },
  { streams }: NatsSession,
): Promise<CopyOverview | undefined> {
  const info = await streams.info(name).catch(() => null);
  if (info?.config.mirror?.name !== stream) return undefined;
  const own = lifeOf(info);
  return {
    ...{ stream: name, region: name.slice(stream.length + 1), life: own.id },
    lag: Math.max(0, life.lastSeq - own.lastSeq),
    current: own.id === life.id,
  };
}
