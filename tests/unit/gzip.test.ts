import { expect, test } from "bun:test";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { acceptsGzip, compressionPolicy } from "../../src/http/compression.ts";
import { GZIP_HEAD, GzipSum, gzipPiece } from "../../src/http/streams/gzip.ts";

test("pieces of any length, compressed or not, are one gzip file", () => {
  const piece = fc.record({
    bytes: fc.oneof(
      fc.uint8Array(),
      fc.integer({ min: 0, max: 200_000 }).map((size) => new Uint8Array(size).fill(97)),
    ),
    compress: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
      const sum = new GzipSum();
      for (const { bytes } of pieces) sum.add(bytes);
      const packed = pieces.map(({ bytes, compress }) => gzipPiece(bytes, compress));
      const plain = gunzipSync(Buffer.concat([GZIP_HEAD, ...packed, sum.tail()]));
      expect(plain.equals(Buffer.concat(pieces.map(({ bytes }) => bytes)))).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test.each([
  [null, false],
  ["", false],
  ["gzip", true],
  ["gzip, deflate, br, zstd", true],
  ["GZIP;q=0.5", true],
  ["x-gzip", true],
  ["deflate, br", false],
  ["gzip;q=0", false],
  ["gzip; q=0.000, *", false],
  ["*", true],
  ["*;q=0", false],
  ["identity", false],
])("Accept-Encoding %p takes gzip: %p", (accepted, takes) => {
  expect(acceptsGzip(accepted)).toBe(takes);
});

const agents = {
  chrome:
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
  firefox: "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
  safari:
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
  iosChrome:
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/143.0 Mobile/15E148 Safari/604.1",
  webView:
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
  native: "Example/7 CFNetwork/1410.0.3 Darwin/22.6.0",
  other: "ws/8",
};

test("WebSockets of Apple's systems, and of whoever is named, are not compressed", () => {
  const of = (exceptUserAgents: readonly string[], sockets = true) => {
    const policy = compressionPolicy({ sockets, exceptUserAgents, streams: "off" });
    return Object.entries(agents)
      .filter(([, agent]) => policy.socket(new Headers({ "user-agent": agent })))
      .map(([name]) => name);
  };
  expect(of(["webkit"])).toEqual(["chrome", "firefox", "other"]);
  expect(of(["webkit", "Firefox/"])).toEqual(["chrome", "other"]);
  expect(of([])).toEqual(Object.keys(agents));
  expect(of([], false)).toEqual([]);
  expect(
    compressionPolicy({ sockets: true, exceptUserAgents: ["x"], streams: "off" }).socket(new Headers()),
  ).toBe(true);
});

test("streams are compressed for who accepts it, and past a proxy only if the settings say so", () => {
  const asks = (streams: "off" | "direct" | "all", headers: Record<string, string>) =>
    compressionPolicy({ sockets: false, exceptUserAgents: [], streams }).stream(new Headers(headers));
  const gzip = { "accept-encoding": "gzip" };
  expect([asks("off", gzip), asks("direct", gzip), asks("all", gzip)]).toEqual([false, true, true]);
  const past = { ...gzip, via: "1.1 scanner" };
  expect([asks("off", past), asks("direct", past), asks("all", past)]).toEqual([false, false, true]);
  expect([asks("direct", {}), asks("all", {})]).toEqual([false, false]);
});
