import ipaddr from "ipaddr.js";

/** Addresses and ranges; asking costs one look-up for each length of prefix in it. */
export class AddressSet {
  /** Networks by the length of their prefixes, with how often each was added. */
  readonly #networks = new Map<string, Map<string, number>>();

  /** @returns false when the text is neither an address nor a range */
  add(text: string): boolean {
    const network = networkOf(text);
    if (!network) return false;
    const [length, key] = network;
    const keys = this.#networks.get(length) ?? new Map<string, number>();
    this.#networks.set(length, keys.set(key, (keys.get(key) ?? 0) + 1));
    return true;
  }

  delete(text: string): void {
    const [length, key] = networkOf(text) ?? ["", ""];
    const keys = this.#networks.get(length);
    const count = keys?.get(key) ?? 0;
    if (count > 1) keys!.set(key, count - 1);
    else if (keys?.delete(key) && keys.size === 0) this.#networks.delete(length);
  }

  has(ip: string): boolean {
    if (this.#networks.size === 0 || !ipaddr.isValid(ip)) return false;
    const address = ipaddr.process(ip);
    for (const [length, keys] of this.#networks) {
      const [kind, bits] = length.split("/") as [string, string];
      if (kind === address.kind() && keys.has(masked(address, Number(bits)))) return true;
    }
    return false;
  }
}

/** Whether a text is an address, or a range in CIDR notation. */
export function isNetwork(text: string): boolean {
  return networkOf(text) !== undefined;
}

function networkOf(text: string): [length: string, key: string] | undefined {
  try {
    const [address, bits] = text.includes("/")
      ? ipaddr.parseCIDR(text)
      : ([ipaddr.process(text), undefined] as const);
    const length = bits ?? (address.kind() === "ipv4" ? 32 : 128);
    return [`${address.kind()}/${length}`, masked(address, length)];
  } catch {
    return undefined;
  }
}

function masked(address: ipaddr.IPv4 | ipaddr.IPv6, bits: number): string {
  return address
    .toByteArray()
    .map((byte, at) => {
      const kept = Math.min(8, Math.max(0, bits - at * 8));
      return byte & (0xff << (8 - kept)) & 0xff;
    })
    .join(".");
}
