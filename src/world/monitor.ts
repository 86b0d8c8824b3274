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

interface StreamsPage {
  readonly account_details?: readonly {
    readonly stream_detail?: readonly {
      readonly name: string;
      readonly mirror?: { readonly name: string; readonly lag: number };
    }[];
  }[];
}

/** The mirrors a server holds; none when it does not answer. */
export async function mirrorsOf(monitorUrl: string): Promise<Mirror[]> {
  const page = await monitor<StreamsPage>(monitorUrl, "jsz?streams=true");
  const streams = (page?.account_details ?? []).flatMap(({ stream_detail }) => stream_detail ?? []);
  return streams.flatMap(({ name, mirror }) => (mirror ? [{ name, of: mirror.name, lag: mirror.lag }] : []));
}
