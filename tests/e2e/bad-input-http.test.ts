import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { exchange, LOUD, unharmed } from "../helpers/hostile.ts";
import { startInstance, TEST_API_KEY, type TestInstance } from "../helpers/instances.ts";

/** The last request on every connection: the server hangs up after its answer, if it ever gets there. */
const LAST = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
/** What a front server took for the body of another request. Answered, it would be a 404. */
const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

const post = (headers: string, body: string) =>
  `POST /api/info HTTP/1.1\r\nHost: x\r\nX-API-Key: ${TEST_API_KEY}\r\n${headers}\r\n\r\n${body}${LAST}`;
const chunked = (body: string) => post("Transfer-Encoding: chunked", body);
const get = (path: string, headers = "Host: x\r\n") => `GET ${path} HTTP/1.1\r\n${headers}\r\n${LAST}`;

/** Requests whose end two servers could see in different places: refused, and the connection with them. */
const AMBIGUOUS: readonly (readonly [what: string, bytes: string])[] = [
  [
    "Content-Length and chunked",
    post(`Content-Length: ${5 + SMUGGLED.length}\r\nTransfer-Encoding: chunked`, `0\r\n\r\n${SMUGGLED}`),
  ],
  [
    "chunked and Content-Length",
    post("Transfer-Encoding: chunked\r\nContent-Length: 4", `0\r\n\r\n${SMUGGLED}`),
  ],
  ["two lengths", post(`Content-Length: 2\r\nContent-Length: ${2 + SMUGGLED.length}`, `{}${SMUGGLED}`)],
  ["a list of lengths", post("Content-Length: 2, 2", "{}")],
  ["a signed length", post("Content-Length: +2", "{}")],
  ["a negative length", post("Content-Length: -2", "{}")],
  ["a hexadecimal length", post("Content-Length: 0x2", "{}")],
  ["a length beyond 64 bits", post("Content-Length: 99999999999999999999", "{}")],
  ["an empty length", post("Content-Length: ", "{}")],
  ["an unknown coding", post("Transfer-Encoding: xchunked", "0\r\n\r\n")],
  ["chunked, but not last", post("Transfer-Encoding: chunked, identity", "0\r\n\r\n")],
  ["two codings", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n")],
  ["a control character before chunked", post("Transfer-Encoding: \x0bchunked", "0\r\n\r\n")],
  ["a chunk size that is no number", chunked("G\r\n{}\r\n0\r\n\r\n")],
  ["a chunk size beyond 64 bits", chunked("FFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n")],
  ["a negative chunk size", chunked("-2\r\n{}\r\n0\r\n\r\n")],
  ["a chunk line without CR", chunked("2\n{}\r\n0\r\n\r\n")],
  ["a blank before a colon", post("Content-Length : 2", "{}")],
  ["a folded header", post("X-A: 1\r\n b\r\nContent-Length: 2", "{}")],
  ["a NUL in a header", post("X-A: a\0b\r\nContent-Length: 2", "{}")],
  ["a CR in a header", post("X-A: a\rb\r\nContent-Length: 2", "{}")],
  ["a NUL in the method", `G\0T /healthz HTTP/1.1\r\nHost: x\r\n\r\n${LAST}`],
  ["HTTP/2 without being asked", `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${LAST}`],
  ["HTTP/9.9", `GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n${LAST}`],
  ["a TLS handshake", `\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03${"x".repeat(40)}\r\n\r\n${LAST}`],
];

/** Odd but unmistakable requests, and their answers; the next request on the connection is answered as well. */
const ODD: readonly (readonly [what: string, bytes: string, status: number])[] = [
  ["the same length twice", post("Content-Length: 2\r\nContent-Length: 2", "{}"), 200],
  ["a body in chunks", chunked("1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n"), 200],
  [
    "a GET with a body",
    get("/healthz", `Host: x\r\nContent-Length: ${SMUGGLED.length}\r\n`).replace(LAST, SMUGGLED + LAST),
    200,
  ],
  ["another's name as target", get("http://evil.test/healthz"), 200],
  ["an upgrade to HTTP/2", get("/healthz", "Host: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n"), 200],
  ["an unknown path", get("/nowhere"), 404],
  ["a path out of the root", get("/../../../../etc/passwd"), 404],
  ["the same, escaped", get("/%2e%2e/%2e%2e/%2e%2e/etc/passwd"), 404],
  ["the same, escaped altogether", get("/..%2f..%2f..%2fetc%2fpasswd"), 404],
  ["a path with two slashes", get("//etc/passwd"), 404],
  ["escapes that are none", get("/%zz%00%ff"), 404],
  ["the sources", get("/package.json"), 404],
  ["a method nobody serves", `TRACE /healthz HTTP/1.1\r\nHost: x\r\n\r\n${LAST}`, 404],
  [
    "a body for the health page",
    `POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}${LAST}`,
    404,
  ],
  ["a deletion", `DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n${LAST}`, 404],
];

for (const runtime of ["bun", "deno"] as const) {
  describe(`HTTP on ${runtime}`, () => {
    let instance: TestInstance;
    beforeAll(async () => {
      instance = await startInstance({ runtime, config: LOUD });
    }, 60_000);
    afterAll(async () => {
      await using ended = instance;
      await unharmed(ended, [TEST_API_KEY]);
    });
    const statuses = (answer: string | undefined) =>
      [...(answer ?? "still open").matchAll(/HTTP\/1\.[01] (\d+)/g)].map(([, status]) => Number(status));

    for (const [what, bytes] of AMBIGUOUS) {
      test(`${what} gets 400, and nothing behind it is read`, async () => {
        const answer = await exchange(instance, bytes);
        expect(answer).toBeDefined();
        // Deno hangs up without a word over what is wrong within a body.
        expect([[400], [505], [431], ...(runtime === "deno" ? [[]] : [])]).toContainEqual(statuses(answer));
      });
    }

    for (const [what, bytes, status] of ODD) {
      test(`${what} gets ${status}`, async () => {
        const answer = await exchange(instance, bytes);
        expect(statuses(answer)).toEqual([status, 200]);
        expect(answer).not.toContain("root:");
      });
    }

    test("headers and addresses too long get 431, or 400, or are read; never more", async () => {
      const filler = "a".repeat(200_000);
      for (const bytes of [get(`/${filler}`), get("/healthz", `Host: x\r\nX-A: ${filler}\r\n`)]) {
        const [first, ...others] = statuses(await exchange(instance, bytes));
        expect([400, 414, 431]).toContain(first!);
        expect(others).toEqual([]);
      }
      const many = Array.from({ length: 2_000 }, (_, n) => `X-${n}: 1\r\n`).join("");
      const [first, ...others] = statuses(await exchange(instance, get("/healthz", `Host: x\r\n${many}`)));
      expect([400, 431]).toContain(first!);
      expect(others).toEqual([]);
    });

    test("a body that breaks off is no failure of ours", async () => {
      const head = `POST /api/info HTTP/1.1\r\nHost: x\r\nX-API-Key: ${TEST_API_KEY}\r\n`;
      for (const rest of ["Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n5\r\n{"]) {
        expect(await exchange(instance, head + rest, 200)).toBeUndefined();
      }
    });

    if (runtime === "bun") {
      test("a handshake with data behind it is a connection with a frame in it", async () => {
        const handshake =
          "GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        const answer = await exchange(instance, `${handshake}${LAST}`, 25_000);
        expect(statuses(answer)).toEqual([101]);
      }, 30_000);
    }
  });
}
