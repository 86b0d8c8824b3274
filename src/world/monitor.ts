/** The group of all regions' servers that decides about streams. */
export interface MetaGroup {
  /** Region of the server that leads it. Without one, streams can neither be made nor found. */
  readonly leader: string | undefined;
  readonly size: number;
}

/** What of /jsz is read. */
export interface MetaPage {
  readonly meta_cluster?: {
    readonly leader?: string;
    readonly cluster_size: number;
    /** The others, as the leader sees them. */
    readonly replicas?: readonly {
      readonly offline?: boolean;
      /** Since it was last heard of, nanoseconds. */
      readonly active?: number;
    }[];
  };
}

/** A peer that was heard of within this time is there, ns: heartbeats come each second. */
const FRESH_NANOS = 4e9;

/**
 * The meta group as the servers that answer know it; `undefined` when none does. Only a leader's own word counts, and
 * only while it hears of most: the others go on naming one that is gone, and it goes on for a while itself.
 */
export async function metaGroup(
  servers: readonly { readonly region: string; readonly monitorUrl: string }[],
): Promise<MetaGroup | undefined> {
  const pages = await Promise.all(servers.map(({ monitorUrl }) => monitor<MetaPage>(monitorUrl, "jsz")));
  const groups = pages.map((page) => page?.meta_cluster);
  const size = Math.max(0, ...groups.map((group) => group?.cluster_size ?? 0));
  const leads = (region: string, index: number) => {
    const { leader, replicas = [] } = groups[index] ?? {};
    const heard = replicas.filter(({ offline, active = 0 }) => !offline && active < FRESH_NANOS);
    return leader === region && heard.length + 1 > size / 2;
  };
  const leader = servers.find(({ region }, index) => leads(region, index))?.region;
  return size === 0 ? undefined : { leader, size };
}

/** A monitoring page; `undefined` when the server does not answer in time. */
export async function monitor<T>(monitorUrl: string, page: string): Promise<T | undefined> {
  try {
    const response = await fetch(`${monitorUrl}/${page}`, { signal: AbortSignal.timeout(1_000) });
    return response.ok ? ((await response.json()) as T) : undefined;
  } catch {
    return undefined;
  }
}

/** A copy of another region's stream. */
export interface Mirror {
  /** Its own name, and that of the stream it copies. */
  readonly name: string;
  readonly of: string;
  /** Messages it is behind. */
  readonly lag: number;
}

/** What of `/jsz?streams=true` is read. */
export interface StreamsPage {
  readonly account_details?: readonly {
    readonly stream_detail?: readonly {
      readonly name: string;
      readonly state: { readonly last_seq: number };
      readonly mirror?: { readonly name: string; readonly lag: number };
    }[];
  }[];
}

/** The streams a server holds; `undefined` when it does not answer. */
export function streamsPage(monitorUrl: string): Promise<StreamsPage | undefined> {
  return monitor<StreamsPage>(monitorUrl, "jsz?streams=true");
}

/**
 * The copies that each of some servers holds. How far one is behind is told by the newest message of its origin, while
 * that answers: a copy that is cut off goes on naming the lag it had (2.9.10 and 2.12.12).
 */
export function mirrorsOf(pages: readonly (StreamsPage | undefined)[]): Mirror[][] {
  const streams = pages.map((page) =>
    (page?.account_details ?? []).flatMap(({ stream_detail }) => stream_detail ?? []),
  );
  const newest = new Map(
    streams.flat().flatMap(({ name, state, mirror }) => (mirror ? [] : [[name, state.last_seq] as const])),
  );
  return streams.map((own) =>
    own.flatMap(({ name, state, mirror }) => {
      if (!mirror) return [];
      const head = newest.get(mirror.name);
      const lag = head === undefined ? mirror.lag : Math.max(0, head - state.last_seq);
      return [{ name, of: mirror.name, lag }];
    }),
  );
}
