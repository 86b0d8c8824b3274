import { connect } from "node:net";
import { utf8Decoder } from "../../../core/text.ts";

/** What a NATS server says of itself before anybody logs in. */
export interface Greeting {
  /** Its `server_name`. */
  readonly name: string;
  readonly version: string;
}

/** Longest greeting that is read: a real one has some 600 bytes, and a list of addresses. */
const MAX_BYTES = 64 * 1024;

/**
 * Reads the greeting of a server, which comes first and in plain text, unless it asks for the TLS handshake before.
 * @param address `host:port` @returns undefined when none comes in time, or something else
 */
export function readGreeting(address: string, timeoutMs: number): Promise<Greeting | undefined> {
  return new Promise((resolve) => {
    const { hostname, port } = new URL(`nats://${address}`);
    const socket = connect({ host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || 4222) });
    let text = "";
    const done = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(parseGreeting(text));
    };
    const timer = setTimeout(done, timeoutMs);
    socket.on("data", (bytes: Uint8Array) => {
      text += utf8Decoder.decode(bytes);
      if (text.includes("\n") || text.length > MAX_BYTES) done();
    });
    socket.on("error", done);
    socket.on("close", done);
  });
}

function parseGreeting(text: string): Greeting | undefined {
  const [, json] = /^INFO (\{.*\})\s*\r?\n/.exec(text) ?? [];
  if (json === undefined) return undefined;
  try {
    const { server_name: name, server_id: id, version } = JSON.parse(json) as Record<string, unknown>;
    if (typeof version !== "string") return undefined;
    return { name: typeof name === "string" ? name : String(id), version };
  } catch {
    return undefined;
  }
}
