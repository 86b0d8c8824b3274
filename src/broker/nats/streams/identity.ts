import type { StreamInfo } from "nats";

/** What the life of a stream is, as far as positions are concerned. */
export interface StreamLife {
  readonly epoch: string;
  readonly firstSeq: number;
  readonly lastSeq: number;
}

export function lifeOf(info: StreamInfo): StreamLife {
  return { epoch: epochOf(info.created), firstSeq: info.state.first_seq, lastSeq: info.state.last_seq };
}

/** A short name for the moment a stream was created (RFC 3339 with nanoseconds): its microseconds in base 36. */
export function epochOf(created: string): string {
  const fraction = /\.(\d+)/.exec(created)?.[1] ?? "";
  const micros = Number(fraction.padEnd(6, "0").slice(0, 6));
  return (Math.floor(Date.parse(created) / 1000) * 1_000_000 + micros).toString(36);
}

/** Whether the server shows a stream it is still making: nats-server 2.9 does, without a time, in one of 500 races. */
export function isUnborn(info: StreamInfo): boolean {
  return info.created.startsWith("0001-01-01T"); // Go's zero time
}
