/** See `nearest.js`. */
export function nearest(base: string, path?: string): Promise<string[]>;

/** See `nearest.js`. */
export function failover(urls: readonly string[]): typeof WebSocket;
