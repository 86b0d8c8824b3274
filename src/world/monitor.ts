/** The group of all regions' servers that decides about streams. */
export interface MetaGroup {
  /** Without one, streams can neither be made nor found. */
  readonly leader: string | undefined;
  readonly size: number;
}

/** What of /jsz is read. */
export interface MetaPage {
  readonly meta_cluster?: {
    readonly leader?: string;
    readonly cluster_size: number;
    /** The others, as the leader sees them. */
    readonly replicas?: readonly { readonly offline?: boolean }[];
  };
}

/** What a server knows of the meta group; `undefined` when it does not answer. */
export async function metaGroup(monitorUrl: string): Promise<MetaGroup | undefined> {
  const group = (await monitor<MetaPage>(monitorUrl, "jsz"))?.meta_cluster;
  return group && { leader: group.leader || undefined, size: group.cluster_size };
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
