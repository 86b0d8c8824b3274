import type { Published } from "../../broker/broker.ts";
import { CommandError, Errors } from "../../core/errors.ts";
import type { GatewayContext } from "../context.ts";

/** Who published: a client, or (both are empty) a service. */
interface Publisher {
  readonly user: string;
  readonly client: string;
}

const A_SERVICE: Publisher = { user: "", client: "" };

type Noting = Pick<GatewayContext, "messageTroubles">;

/** Remembers a publish that the server API refused, for whoever asks why nothing came. */
export function notePublishRefused({ messageTroubles }: Noting, channel: string, error: unknown): void {
  const { code } = error instanceof CommandError ? error.error : Errors.internal;
  const message = error instanceof CommandError ? error.message : Errors.internal.message;
  messageTroubles.add({ atMs: Date.now(), ...A_SERVICE, what: "publish", channel, code, message });
}

/** Remembers a publish of which nothing new was stored. Costs nothing else where it was. */
export function noteDuplicate(
  { messageTroubles }: Noting,
  channel: string,
  { duplicate, offset }: Published,
  publisher: Publisher = A_SERVICE,
): void {
  if (!duplicate) return;
  const message = `a duplicate of message ${offset} and was not stored: same idempotency key, or not a newer version`;
  messageTroubles.add({ atMs: Date.now(), ...publisher, what: "duplicate", channel, code: 0, message });
}

/** Remembers a message that was left out because the instance is overloaded. */
export function noteLeftOut({ messageTroubles }: Noting, channel: string, offset: number): void {
  const message = `the last was ${offset}`;
  messageTroubles.add({ atMs: Date.now(), ...A_SERVICE, what: "left out", channel, code: 0, message });
}
