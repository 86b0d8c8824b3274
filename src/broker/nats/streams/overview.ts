import type { Namespaces } from "../../../core/namespace.ts";
import type { Subjects } from "../../../core/subject.ts";
import type { MissingStream, StreamOverview } from "../../streams.ts";
import type { Link } from "../link/link.ts";
import { RequestError, type Requests } from "../link/requests.ts";
import type { StreamAdmin } from "./admin.ts";
import { wantedStreams } from "./config.ts";
import { lifeOf } from "./identity.ts";
import { LeaderStore } from "./leader-store.ts";
import { copiesOf } from "./mirrors.ts";
import { disagreement } from "./replica-check.ts";
import { Store } from "./store.ts";

/** What streams are looked at with. */
export interface StreamSession {
  readonly link: Link;
  readonly requests: Requests;
  readonly streams: StreamAdmin;
}

/** Looks at every stream of channels that the settings name. @throws RequestError, JetStreamError */
export async function streamOverviews(
  subjects: Subjects,
  namespaces: Namespaces,
  session: StreamSession,
): Promise<(StreamOverview | MissingStream)[]> {
  const wanted = wantedStreams(subjects, namespaces, session.link.messageTtl);
  const names = await session.streams.names();
  const entries = subjects.entryStream();
  // The stream of entries republishes, too.
  const followed = wanted.filter(({ name, republish }) => republish && name !== entries);
  return await Promise.all(followed.map(({ name }) => overview(name, names, session)));
}

async function overview(
  stream: string,
  names: readonly string[],
  session: StreamSession,
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
  session: StreamSession,
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
  { streams }: StreamSession,
): Promise<StreamOverview["copies"][number] | undefined> {
  const info = await streams.info(name).catch(() => null);
  if (info?.config.mirror?.name !== stream) return undefined;
  const own = lifeOf(info);
  return {
    ...{ stream: name, region: name.slice(stream.length + 1), life: own.id },
    lag: Math.max(0, life.lastSeq - own.lastSeq),
    current: own.id === life.id,
  };
}
