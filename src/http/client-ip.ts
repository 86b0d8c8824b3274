import ipaddr from "ipaddr.js";

/** Who is believed about a client's address. */
export type ProxyTrust =
  /** Nobody: the TCP peer is the client. */
  | { readonly kind: "none" }
  /** Fly's proxy, which sets `Fly-Client-IP` and lets nobody else do so. */
  | { readonly kind: "fly" }
  /**
   * Proxies that append the address they saw to a header. With `cidrs` only those are believed, and the client is the
   * last address that is none of them; without, the client is `hops` addresses from the end.
   */
  | {
      readonly kind: "header";
      readonly header: string;
      readonly cidrs: readonly string[];
      readonly hops: number;
    };

/** Address of the client in its shortest form; IPv4 in IPv6 clothes is IPv4. */
export type ClientIp = (headers: Headers, peer: string) => string;

const FOUR_PARTS = /^[\d.]+$/;

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Addresses looked at in one header: a longer chain of proxies is a forgery. */
const MAX_HOPS = 32;

/**
 * Makes the resolver of client addresses. What a client itself wrote into a header is never believed: only what
 * trusted proxies appended behind it.
 * @throws Error when one of `cidrs` is no address or range
 */
export function clientIp(trust: ProxyTrust): ClientIp {
  // The runtime writes an IPv4 peer in its shortest form already.
  if (trust.kind === "none") return (_headers, peer) => (FOUR_PARTS.test(peer) ? peer : plain(peer));
  if (trust.kind === "fly") {
    return (headers, peer) => plain(parse(headers.get("fly-client-ip") ?? "") ?? peer);
  }
  const { header, hops } = trust;
  if (trust.cidrs.length === 0) {
    return (headers, peer) => plain(parse(entries(headers, header).at(-hops) ?? "") ?? peer);
  }
  const trusted = within(trust.cidrs);
  return (headers, peer) => {
    let client = parse(peer);
    if (!client) return peer;
    for (const entry of entries(headers, header).reverse()) {
      if (!trusted(client)) break;
      const next = parse(entry);
      // Something unreadable: whatever stands before it was not written by a proxy of ours.
      if (!next) break;
      client = next;
    }
    return plain(client);
  };
}

/** Makes the test whether an address is in one of these ranges. @throws Error when one is no address or range */
export function inRanges(cidrs: readonly string[]): (address: string) => boolean {
  const contains = within(cidrs);
  return (text) => {
    const address = parse(text);
    return address !== undefined && contains(address);
  };
}

function within(cidrs: readonly string[]): (address: Address) => boolean {
  const ranges = cidrs.map(parseRange);
  return (address) =>
    ranges.some(([range, bits]) => range.kind() === address.kind() && address.match(range, bits));
}

/** The last addresses of a header, oldest first. */
function entries(headers: Headers, name: string): string[] {
  return (headers.get(name) ?? "")
    .split(",")
    .map((entry) => entry.trim())
    .slice(-MAX_HOPS);
}

/** Takes `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]` and `[::1]:80`; nothing of the odder ways to write an address. */
function parse(text: string): Address | undefined {
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text;
  if (!ipaddr.IPv4.isValidFourPartDecimal(bare) && !ipaddr.IPv6.isValid(bare)) return undefined;
  return ipaddr.process(bare);
}

function parseRange(text: string): [Address, number] {
  if (text.includes("/")) return ipaddr.parseCIDR(text);
  const address = ipaddr.process(text);
  return [address, address.kind() === "ipv4" ? 32 : 128];
}

function plain(address: Address | string): string {
  if (typeof address === "string") return parse(address)?.toString() ?? address;
  return address.toString();
}
