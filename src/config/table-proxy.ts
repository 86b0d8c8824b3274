import { choice, list, text, whole, yesNo } from "./setting.ts";
import { CIDR, isAddress } from "./table-gateway.ts";

/** Settings of who is believed about clients' addresses. */
export const proxy = {
  "proxy.trust": choice(["none", "fly", "header"], {
    default: "none",
    env: ["TRUNKLINE_TRUSTED_PROXY"],
    doc:
      "Where a client's address comes from. `none`: the TCP peer. `fly`: the header `Fly-Client-IP`. `header`: the " +
      "header that `proxy.header` names.",
  }),
  "proxy.protocol": yesNo({
    default: false,
    doc:
      "Every connection to the clients' port begins with a header of the PROXY protocol (version 1 or 2), as TCP balancers write " +
      "it, and the address in it is the TCP peer's. Only `proxy.cidrs` may connect. [What it costs](l4.md).",
  }),
  "proxy.header": text(/^[A-Za-z0-9-]{1,64}$/, "the name of a header", {
    default: "X-Forwarded-For",
    doc: "With `proxy.trust: header`: the header to which proxies append addresses.",
  }),
  "proxy.cidrs": list(
    CIDR,
    "an address or range such as 10.0.0.0/8",
    {
      default: [],
      doc:
        "Addresses of the proxies. Only these are believed. The client is the last address in the header that is not a " +
        "proxy. If the list is empty, `proxy.hops` decides.",
    },
    isAddress,
  ),
  "proxy.hops": whole(1, 16, {
    default: 1,
    doc:
      "Without `proxy.cidrs`: how many proxies append to the header. The client is that many addresses from the " +
      "header's end. Use it only if nothing but the proxies can reach the port.",
  }),
} as const;
