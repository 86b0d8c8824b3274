import type { Frame } from "../codec.ts";
import { bytes, message, text } from "./protobuf-wire.ts";

/** Commands of a connection whose transport leads one way only, as the client sent them. */
export interface Emulated {
  /** Secret name of the connection. */
  readonly session: string;
  /** The instance that holds it. */
  readonly node: string;
  readonly data: Frame;
}

/** `EmulationRequest` of the protocol's schema. */
const emulationRequest = message({ node: [1, text], session: [2, text], data: [3, bytes] });

/** Reads the body of an emulation request, JSON or Protobuf; `undefined` when it is none. */
export function decodeEmulation(body: Frame): Emulated | undefined {
  try {
    if (typeof body !== "string") {
      const { node, session, data = new Uint8Array(0) } = emulationRequest(body);
      return { node, session, data };
    }
    const { node, session, data } = (JSON.parse(body) ?? {}) as Record<string, unknown>;
    if (typeof session !== "string" || typeof node !== "string" || typeof data !== "string") return undefined;
    if (!data.isWellFormed()) return undefined; // it came as an escape, and would leave as something else
    return { node, session, data };
  } catch {
    return undefined;
  }
}
