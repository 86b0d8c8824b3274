import { expect, test } from "bun:test";
import {
  Admission,
  type AdmissionOptions,
  addressKey,
  connectionCap,
} from "../../src/gateway/instance/admission.ts";

function setup(options: Partial<AdmissionOptions> = {}) {
  const clock = { now: 1_000 };
  const admission = new Admission({
    connections: 1_000_000,
    connectionsPerIp: 0,
    ratePerIp: undefined,
    now: () => clock.now,
    ...options,
  });
  return { admission, clock };
}

test("counts what is open, and gives places back", () => {
  const { admission } = setup({ connections: 3, connectionsPerIp: 2 });
  expect([admission.admit("a"), admission.admit("a"), admission.admit("a")]).toEqual(["ok", "ok", "ip_cap"]);
  expect([admission.admit("b"), admission.admit("c")]).toEqual(["ok", "instance_cap"]);
  admission.release("a");
  expect([admission.connections, admission.admit("c")]).toEqual([2, "ok"]);
  for (const key of ["a", "b", "c"]) admission.release(key);
  expect([admission.connections, admission.addresses]).toEqual([0, 0]);
});

test("giving back what was not taken changes nothing", () => {
  const { admission } = setup();
  admission.release("nobody");
  expect(admission.connections).toBe(0);
});

test("each address has its own rate, which counts refused attempts too", () => {
  const { admission, clock } = setup({ ratePerIp: { perSecond: 1, burst: 2 }, connectionsPerIp: 1 });
  expect([admission.admit("a"), admission.admit("a"), admission.admit("a")]).toEqual([
    "ok",
    "ip_cap",
    "ip_rate",
  ]);
  expect(admission.retryAfterMs("a")).toBe(1_000);
  expect(admission.admit("b")).toBe("ok");
  admission.release("a");
  clock.now += 1_000;
  expect(admission.admit("a")).toBe("ok");
});

test("what is remembered of addresses is bounded, and forgotten when it means nothing", () => {
  const { admission, clock } = setup({ ratePerIp: { perSecond: 1, burst: 5 }, rememberedAddresses: 100 });
  for (let n = 0; n < 10_000; n++) {
    const key = `ip-${n}`;
    expect(admission.admit(key)).toBe("ok");
    admission.release(key);
    expect(admission.addresses).toBeLessThanOrEqual(100);
  }
  clock.now += 60_000;
  for (let n = 0; n < 200; n++) admission.admit("one");
  expect(admission.addresses).toBe(1);
});

test("an address that keeps hammering is not the one forgotten", () => {
  const { admission } = setup({ ratePerIp: { perSecond: 1, burst: 1 }, rememberedAddresses: 10 });
  admission.admit("bad");
  for (let n = 0; n < 1_000; n++) {
    admission.admit(`other-${n}`);
    expect(admission.admit("bad")).toBe("ip_rate");
  }
});

test("IPv6 is counted by /64, IPv4 by address", () => {
  expect(addressKey("203.0.113.9")).toBe("203.0.113.9");
  expect(addressKey("::ffff:203.0.113.9")).toBe("203.0.113.9");
  expect(addressKey("2001:db8:1:2::1")).toBe("2001:db8:1:2::/64");
  expect(addressKey("2001:db8:1:2:ffff::9")).toBe("2001:db8:1:2::/64");
  expect(addressKey("2001:db8:1:3::1")).not.toBe(addressKey("2001:db8:1:2::1"));
  expect(addressKey("not an address:")).toBe("not an address:");
});

test("the cap keeps descriptors in reserve", () => {
  expect(connectionCap(0, 20_000)).toBe(19_000);
  expect(connectionCap(0, 1_024)).toBe(768);
  expect(connectionCap(500, 20_000)).toBe(500);
  expect(connectionCap(50_000, 20_000)).toBe(19_000);
  expect(connectionCap(0, undefined)).toBe(768);
  expect(connectionCap(0, 100)).toBe(1);
  expect(connectionCap(0, Number.POSITIVE_INFINITY)).toBe(Number.MAX_SAFE_INTEGER);
  expect(connectionCap(9, Number.POSITIVE_INFINITY)).toBe(9);
});
