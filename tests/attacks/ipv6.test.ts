import { describe, expect, test } from "bun:test";

/** Whoever has a /64 has 2^64 addresses, and is one address to limits: on the wire, in a network of its own. */

const PROGRAM = new URL("../programs/ipv6-addresses.ts", import.meta.url).pathname;
const IN_A_NETWORK = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c"];
const SET_UP =
  "ip link set lo up && ip -6 route add local 2001:db8::/32 dev lo && echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind";
const possible = Bun.spawnSync([...IN_A_NETWORK, SET_UP], { stderr: "ignore" }).success;

describe.skipIf(!possible)(`IPv6${possible ? "" : " (no networks may be made here)"}`, () => {
  test.each(["bun", "deno"])(
    "addresses of one /64 are counted together, those of another apart: %s",
    async (runtime) => {
      const own = ["2001:db8:1:1::1", "2001:db8:1:1:ffff::2", "2001:db8:1:1:1:2:3:4", "2001:db8:1:1::5"];
      const other = ["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2::3"];
      const child = Bun.spawn(
        [
          ...[...IN_A_NETWORK, `${SET_UP} && exec "$@"`, "sh"],
          ...[process.execPath, PROGRAM, runtime, ...own, ...other],
        ],
        { stdout: "pipe", stderr: "inherit" },
      );
      const out = await new Response(child.stdout).text();
      expect(JSON.parse(out)).toEqual([101, 101, 429, 429, 101, 101, 429]);
    },
    30_000,
  );
});
