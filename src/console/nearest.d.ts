/** See `nearest.js`. */
export function nearest(base: string, path?: string): Promise<string[]>;

/** See `nearest.js`. */
export interface FailoverOptions {
  readonly homeMs?: number;
  readonly failed?: () => void;
}

/** See `nearest.js`. */
export function failover(urls: readonly string[], options?: FailoverOptions): typeof WebSocket;

/** See `nearest.js`. */
export function pusherFailover<P extends { disconnect(): void; connect(): void }>(
  urls: readonly string[],
  options?: Pick<FailoverOptions, "homeMs">,
): (pusher: P) => P;
