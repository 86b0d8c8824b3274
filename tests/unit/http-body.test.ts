import { expect, test } from "bun:test";
import { bodyBytes } from "../../src/http/body.ts";

/** A request whose body never ends. */
function endless(headers: Record<string, string> = {}) {
  const timers: ReturnType<typeof setInterval>[] = [];
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      timers.push(setInterval(() => controller.enqueue(new Uint8Array([120])), 5));
    },
    cancel() {
      timers.forEach(clearInterval);
    },
  });
  const request = new Request("http://localhost/", { method: "POST", headers, body });
  return { request, [Symbol.dispose]: () => timers.forEach(clearInterval) };
}

test.each<Record<string, string>>([{}, { "content-length": "1000" }])(
  "a body that comes byte by byte is given up: %p",
  async (headers) => {
    using slow = endless(headers);
    expect(await bodyBytes(slow.request, 1_000_000, 50)).toBe(408);
  },
);

test("a body that is there is read, and one without a byte, too", async () => {
  const whole = new Request("http://localhost/", { method: "POST", body: "four" });
  expect(await bodyBytes(whole, 10, 1_000)).toEqual(new TextEncoder().encode("four"));
  const none = new Request("http://localhost/", { method: "POST", headers: { "content-length": "0" } });
  expect(await bodyBytes(none, 10, 1_000)).toEqual(new Uint8Array());
});
