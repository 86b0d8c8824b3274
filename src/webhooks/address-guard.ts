import { lookup } from "node:dns";
import type { LookupFunction } from "node:net";
import ipaddr from "ipaddr.js";

/** All of IPv6 that is given to networks of the internet (RFC 4291 §2.4). */
const GLOBAL_IPV6 = ipaddr.IPv6.parseCIDR("2000::/3");

/** What a request fails with whose target lies inside the network. */
export const INSIDE = "inside_network";

/**
 * Where requests to addresses of the settings may go: to the internet, and to what the settings name beside it. Private,
 * link-local, loopback and all other special addresses are refused: a name in somebody else's hands must not lead to the
 * services that trust this network. The addresses that a name has are looked at when a connection is made, and only those
 * are connected to, so that a name cannot have others a moment later.
 */
export class AddressGuard {
  readonly #allowed: readonly (readonly [ipaddr.IPv4 | ipaddr.IPv6, number])[];

  /** @param allowed addresses and ranges @throws Error when one is neither */
  constructor(allowed: readonly string[]) {
    this.#allowed = allowed.map((text) => {
      if (text.includes("/")) return ipaddr.parseCIDR(text);
      const address = ipaddr.process(text);
      return [address, address.kind() === "ipv4" ? 32 : 128] as const;
    });
  }

  /** Whether requests may go to this address. */
  allows(text: string): boolean {
    if (!ipaddr.isValid(text)) return false;
    // IPv4 in IPv6 clothes is IPv4; what is embedded in other ways is no unicast address.
    const address = ipaddr.process(text);
    if (address.range() === "unicast" && (address.kind() === "ipv4" || address.match(GLOBAL_IPV6)))
      return true;
    return this.#allowed.some(
      ([range, bits]) => range.kind() === address.kind() && address.match(range, bits),
    );
  }

  /** Whether a host, as a URL has it, is an address that requests may not go to. Of a name nothing is known yet. */
  refusesHost(hostname: string): boolean {
    const bare = hostname.replace(/^\[|\]$/g, "");
    return ipaddr.isValid(bare) && !this.allows(bare);
  }

  /** As Node's `lookup`: tells the addresses of a name that are allowed, and fails with {@link INSIDE} where none is. */
  readonly lookup: LookupFunction = (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, "");
      const addresses = found.filter(({ address }) => this.allows(address));
      const [first] = addresses;
      if (!first) return callback(Object.assign(new Error("inside of the network"), { code: INSIDE }), "");
      if (options.all) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}
