import { expect, test } from "bun:test";
import { clientIp, type ProxyTrust } from "../../src/http/client-ip.ts";

const resolve = (trust: ProxyTrust, peer: string, headers: Record<string, string> = {}) =>
  clientIp(trust)(new Headers(headers), peer);
const proxies: ProxyTrust = {
  kind: "header",
  header: "X-Forwarded-For",
  cidrs: ["10.0.0.0/8", "fd00::/8", "192.0.2.7"],
  hops: 1,
};

test("without trust every header is a forgery", () => {
  const headers = { "x-forwarded-for": "1.1.1.1", "fly-client-ip": "1.1.1.1", "x-real-ip": "1.1.1.1" };
  expect(resolve({ kind: "none" }, "203.0.113.9", headers)).toBe("203.0.113.9");
});

test("addresses come in their shortest form", () => {
  expect(resolve({ kind: "none" }, "::ffff:203.0.113.9")).toBe("203.0.113.9");
  expect(resolve({ kind: "none" }, "2001:0db8:0:0:0:0:0:0001")).toBe("2001:db8::1");
});

test("Fly's header counts where Fly is in front; rubbish in it does not", () => {
  expect(resolve({ kind: "fly" }, "172.16.0.1", { "fly-client-ip": "203.0.113.9" })).toBe("203.0.113.9");
  expect(resolve({ kind: "fly" }, "172.16.0.1", { "fly-client-ip": "x, y" })).toBe("172.16.0.1");
  expect(resolve({ kind: "fly" }, "172.16.0.1")).toBe("172.16.0.1");
});

test("a peer that is no proxy of ours is the client, whatever it claims", () => {
  expect(resolve(proxies, "203.0.113.9", { "x-forwarded-for": "10.1.1.1" })).toBe("203.0.113.9");
});

test.each([
  ["one proxy", "10.0.0.1", "198.51.100.4", "198.51.100.4"],
  ["a forged address in front", "10.0.0.1", "1.1.1.1, 198.51.100.4", "198.51.100.4"],
  ["a chain of proxies", "10.0.0.1", "1.1.1.1, 198.51.100.4, 10.9.9.9, 192.0.2.7", "198.51.100.4"],
  ["proxies all along", "10.0.0.1", "10.2.2.2, 10.9.9.9", "10.2.2.2"],
  ["rubbish in front", "10.0.0.1", "<script>, 198.51.100.4", "198.51.100.4"],
  ["rubbish at the end", "10.0.0.1", "198.51.100.4, unknown", "10.0.0.1"],
  ["an octal address", "10.0.0.1", "0300.0.0.1", "10.0.0.1"],
  ["a number for an address", "10.0.0.1", "3232235521", "10.0.0.1"],
  ["ports", "10.0.0.1", "198.51.100.4:5123", "198.51.100.4"],
  ["IPv6 with a port", "fd12::1", "[2001:db8::9]:443", "2001:db8::9"],
  ["a proxy in IPv6 clothes", "::ffff:10.0.0.1", "2001:db8::9", "2001:db8::9"],
  ["an empty header", "10.0.0.1", "", "10.0.0.1"],
])("walks the header from its end: %s", (_what, peer, header, expected) => {
  expect(resolve(proxies, peer, { "x-forwarded-for": header })).toBe(expected);
});

test("without ranges the hops are counted from the end", () => {
  const two: ProxyTrust = { ...proxies, cidrs: [], hops: 2 };
  const header = "1.1.1.1, 198.51.100.4, 192.0.2.55";
  expect(resolve(two, "10.0.0.1", { "x-forwarded-for": header })).toBe("198.51.100.4");
  expect(resolve(two, "10.0.0.1", { "x-forwarded-for": "192.0.2.55" })).toBe("10.0.0.1");
});

test("a range that is none stops the start", () => {
  expect(() => clientIp({ ...proxies, cidrs: ["10.0.0.0/64"] })).toThrow();
  expect(() => clientIp({ ...proxies, cidrs: ["proxy.example.com"] })).toThrow();
});
