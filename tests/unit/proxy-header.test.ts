import { expect, test } from "bun:test";
import fc from "fast-check";
import { MAX_HEADER_BYTES, readProxyHeader } from "../../src/runtime/proxy-header.ts";

const text = (line: string) => readProxyHeader(Buffer.from(line, "latin1"));

const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const binary = (versionAndCommand: number, family: number, body: readonly number[], length = body.length) =>
  readProxyHeader(
    Buffer.concat([SIGNATURE, Buffer.from([versionAndCommand, family, length >> 8, length & 255, ...body])]),
  );
const PORTS = [0x30, 0x39, 0, 80];
const V4 = [192, 0, 2, 7, 10, 0, 0, 1, ...PORTS];
const V6 = [0x20, 1, 0xd, 0xb8, ...Array(11).fill(0), 7, ...Array(16).fill(0), ...PORTS];

test.each([
  [
    "PROXY TCP4 192.0.2.7 10.0.0.1 12345 80\r\nGET",
    { bytes: 40, client: { hostname: "192.0.2.7", port: 12_345 } },
  ],
  ["PROXY TCP6 2001:db8::7 ::1 0 65535\r\n", { bytes: 36, client: { hostname: "2001:db8::7", port: 0 } }],
  ["PROXY UNKNOWN\r\nGET", { bytes: 15 }],
  ["PROXY UNKNOWN ffff::1 ::1 1 2\r\n", { bytes: 31 }],
  ["", "incomplete"],
  ["PRO", "incomplete"],
  ["PROXY TCP4 192.0.2.7 10.0.0.1 12345 80\r", "incomplete"],
  ["GET / HTTP/1.1\r\n", "invalid"],
  ["PROXY\tTCP4 192.0.2.7 10.0.0.1 1 2\r\n", "invalid"],
  ["PROXY TCP4 192.0.2.7 10.0.0.1 12345\r\n", "invalid"],
  ["PROXY TCP4 192.0.2.7 10.0.0.1 12345 80 9\r\n", "invalid"],
  ["PROXY TCP4 192.0.2.7 10.0.0.1 65536 80\r\n", "invalid"],
  ["PROXY TCP4 192.0.2.7 10.0.0.1 01 80\r\n", "invalid"],
  ["PROXY TCP4 192.0.2.07 10.0.0.1 1 80\r\n", "invalid"],
  ["PROXY TCP4 2001:db8::7 ::1 1 80\r\n", "invalid"],
  ["PROXY TCP6 192.0.2.7 10.0.0.1 1 80\r\n", "invalid"],
  ["PROXY UDP4 192.0.2.7 10.0.0.1 1 80\r\n", "invalid"],
  ["PROXY TCP4 192.0.2.7 10.0.0.1 1 80\n", "incomplete"],
  [`PROXY UNKNOWN ${"x".repeat(107)}`, "invalid"],
])("version 1: %p", (line, expected) => {
  expect(text(line)).toEqual(expected as ReturnType<typeof text>);
});

test.each([
  ["TCP over IPv4", binary(0x21, 0x11, V4), { bytes: 28, client: { hostname: "192.0.2.7", port: 12_345 } }],
  [
    "with more behind the addresses",
    binary(0x21, 0x11, [...V4, 3, 0, 4, 1, 2, 3, 4]),
    { bytes: 35, client: { hostname: "192.0.2.7", port: 12_345 } },
  ],
  [
    "TCP over IPv6",
    binary(0x21, 0x21, V6),
    { bytes: 52, client: { hostname: "2001:db8:0:0:0:0:0:7", port: 12_345 } },
  ],
  ["a health check", binary(0x20, 0, []), { bytes: 16 }],
  ["a health check with addresses", binary(0x20, 0x11, V4), { bytes: 28 }],
  ["an unknown family", binary(0x21, 0, [1, 2]), { bytes: 18 }],
  ["only its beginning", binary(0x21, 0x11, V4.slice(0, 5), 12), "incomplete"],
  ["version 3", binary(0x31, 0x11, V4), "invalid"],
  ["an unknown command", binary(0x22, 0x11, V4), "invalid"],
  ["UDP", binary(0x21, 0x12, V4), "invalid"],
  ["a unix socket", binary(0x21, 0x31, Array(216).fill(0)), "invalid"],
  ["addresses that are cut", binary(0x21, 0x21, V4), "invalid"],
  ["too long", binary(0x21, 0x11, V4, MAX_HEADER_BYTES), "invalid"],
] as const)("version 2: %s", (_, seen, expected) => {
  expect(seen).toEqual(expected as typeof seen);
});

test("whatever comes, and in whatever pieces: one answer, that never changes once it is given", () => {
  const beginnings = ["", "PROXY ", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"].map((one) => Buffer.from(one));
  const beginning = fc.constantFrom(
    ...beginnings,
    SIGNATURE,
    Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x11])]),
  );
  fc.assert(
    fc.property(beginning, fc.uint8Array({ maxLength: 300 }), (head, tail) => {
      const bytes = Buffer.concat([head, tail]);
      let answer = readProxyHeader(Buffer.alloc(0));
      for (let length = 1; length <= bytes.length && answer === "incomplete"; length++) {
        answer = readProxyHeader(bytes.subarray(0, length));
      }
      expect(readProxyHeader(bytes)).toEqual(answer);
      if (typeof answer === "object") expect(answer.bytes).toBeLessThanOrEqual(bytes.length);
    }),
  );
});
