import { expect, test } from "bun:test";
import type { Msg, SubscriptionOptions } from "nats";
import { HeaderBlock } from "../../src/broker/nats/link/header-block.ts";
import type { Link } from "../../src/broker/nats/link/link.ts";
import type { NoAnswer, Requests as Port, Waiter } from "../../src/broker/nats/link/requests.ts";
import { Requests } from "../../src/broker/nats/link/requests.ts";
import { type Ack, Publisher } from "../../src/broker/nats/publish/publisher.ts";
import { StorageWatch } from "../../src/broker/nats/publish/storage-watch.ts";
import { silent } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import { until } from "../helpers/until.ts";

/** A connection whose other end answers when told to. */
function wire() {
  const replyTo: string[] = [];
  let heard: SubscriptionOptions["callback"];
  const link = {
    connected: true,
    nc: {
      subscribe: (_: string, { callback }: SubscriptionOptions) => {
        heard = callback;
      },
      publish: (_: string, __: unknown, { reply }: { reply: string }) => replyTo.push(reply),
    },
    newInbox: () => "_INBOX.test",
    doubt() {},
    onDown() {},
    onUp() {},
  } as unknown as Link;
  const answer = (subject: string) => heard!(null, { subject, data: new Uint8Array() } as unknown as Msg);
  return { link, replyTo, answer };
}

class Noted implements Waiter {
  readonly expiresAt: number;
  outcome: NoAnswer | "answered" | undefined;
  constructor(timeoutMs: number) {
    this.expiresAt = performance.now() + timeoutMs;
  }
  reply(): boolean {
    this.outcome = "answered";
    return true;
  }
  fail(why: NoAnswer): void {
    this.outcome = why;
  }
}

function standStill(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

test("an answer that came while the process stood still counts, although it is read late", async () => {
  const { link, replyTo, answer } = wire();
  const requests = new Requests(link);
  const waiter = new Noted(50);
  requests.send("somewhere", "", waiter);
  standStill(300);
  // Timers that are due run before what the sockets have: this is the first look, and then the answer.
  await new Promise((resolve) => setTimeout(resolve));
  expect(waiter.outcome).toBeUndefined();
  answer(replyTo[0]!);
  expect(waiter.outcome).toBe("answered");
  requests.close();
});

test("nobody answers: it fails when its time is over, after a standstill, too", async () => {
  const { link } = wire();
  const requests = new Requests(link);
  const waiter = new Noted(50);
  requests.send("somewhere", "", waiter);
  standStill(300);
  await until(() => waiter.outcome === "timeout");
  expect(requests.size).toBe(0);
});

test.each([
  ["after longer and longer times, where nobody waits", Number.POSITIVE_INFINITY, [1, 2, 4, 8, 16, 16, 16]],
  ["each second, where somebody does", 60_000, [1, 1, 1, 1, 1, 1, 1]],
])("a message that nobody acknowledges is sent again %s", async (_, timeoutMs, expected) => {
  const times: number[] = [];
  const done = Promise.withResolvers<Waiter>();
  const requests = {
    send(_subject: string, _payload: unknown, waiter: Waiter) {
      times.push(Math.round((waiter.expiresAt - performance.now()) / 100) / 10);
      if (times.length < 7) queueMicrotask(() => waiter.fail("timeout"));
      else done.resolve(waiter);
    },
  } as unknown as Port;
  const suspected: string[] = [];
  const publisher = new Publisher({
    link: wire().link,
    requests,
    window: 1,
    queue: 10,
    storage: new StorageWatch(new Stats(), silent),
    suspect: (stream) => suspected.push(stream),
  });
  const to = { subject: "s", stream: "S" };
  const ack = publisher.publish(to, "x", new HeaderBlock(), timeoutMs);
  const last = await done.promise;
  expect(times).toEqual(expected);
  expect(suspected).toHaveLength(6);
  last.reply({ data: new TextEncoder().encode('{"stream":"S","seq":7}') } as unknown as Msg);
  expect(await ack).toEqual({ seq: 7, duplicate: false, regressed: false } satisfies Ack);
  publisher.close();
});
