import { Buffer } from "node:buffer";
import { isIPv4, isIPv6 } from "node:net";

/** Longest header that is read, bytes: the specification's 107 of version 1, and room for what version 2 may add. */
export const MAX_HEADER_BYTES = 2_048;

/** Address and port of a client, as a proxy says them. */
export interface ClientAddress {
  readonly hostname: string;
  readonly port: number;
}

/** What stands at the beginning of a connection. */
export type ProxyHeader =
  /** It may become a header, and more is needed. */
  | "incomplete"
  /** It is none, or a malformed one. */
  | "invalid"
  /** `bytes` long. Without `client` the proxy speaks for itself: a health check. */
  | { readonly bytes: number; readonly client?: ClientAddress };

const V1 = Buffer.from("PROXY ");
const V1_MAX_BYTES = 107;
const V2 = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const V2_HEAD_BYTES = 16;
/** Bytes of an address of each family of version 2: AF_INET, AF_INET6. */
const FAMILIES: Readonly<Record<number, number>> = { 1: 4, 2: 16 };
const STREAM = 1;

/**
 * Reads the header of the PROXY protocol, version 1 or 2, as HAProxy's specification (2.1, "proxy-protocol.txt") has it.
 * @param bytes all that has come so far
 */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (begins(bytes, V1)) return bytes.length < V1.length ? "incomplete" : readText(bytes);
  if (begins(bytes, V2)) return bytes.length < V2_HEAD_BYTES ? "incomplete" : readBinary(bytes);
  return "invalid";
}

/** Whether one is the beginning of the other. */
function begins(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length);
  return bytes.subarray(0, length).equals(signature.subarray(0, length));
}

function readText(bytes: Buffer): ProxyHeader {
  const line = bytes.toString("latin1", 0, V1_MAX_BYTES);
  const end = line.indexOf("\r\n");
  if (end < 0) return bytes.length < V1_MAX_BYTES ? "incomplete" : "invalid";
  const [, family, source = "", destination = "", ...ports] = line.slice(0, end).split(" ");
  if (family === "UNKNOWN") return { bytes: end + 2 };
  const is = { TCP4: isIPv4, TCP6: isIPv6 }[family ?? ""];
  if (!is?.(source) || !is(destination) || ports.length !== 2 || !ports.every(isPort)) return "invalid";
  return { bytes: end + 2, client: { hostname: source, port: Number(ports[0]) } };
}

const isPort = (text: string) => /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;

function readBinary(bytes: Buffer): ProxyHeader {
  const [versionAndCommand, family] = [bytes[12]!, bytes[13]!];
  const length = V2_HEAD_BYTES + bytes.readUInt16BE(14);
  if (versionAndCommand !== 0x20 && versionAndCommand !== 0x21) return "invalid";
  if (length > MAX_HEADER_BYTES) return "invalid";
  if (bytes.length < length) return "incomplete";
  // LOCAL: whatever addresses it has are to be left alone.
  if (versionAndCommand === 0x20 || family === 0) return { bytes: length };
  const size = FAMILIES[family >> 4];
  if (size === undefined || (family & 15) !== STREAM) return "invalid";
  if (length < V2_HEAD_BYTES + 2 * size + 4) return "invalid";
  const address = bytes.subarray(V2_HEAD_BYTES, V2_HEAD_BYTES + size);
  const port = bytes.readUInt16BE(V2_HEAD_BYTES + 2 * size);
  return { bytes: length, client: { hostname: size === 4 ? address.join(".") : ipv6(address), port } };
}

function ipv6(address: Buffer): string {
  return Array.from({ length: 8 }, (_, index) => address.readUInt16BE(index * 2).toString(16)).join(":");
}
