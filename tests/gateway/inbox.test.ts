import { describe, expect, test } from "bun:test";
import { CommandError, Errors } from "../../src/core/errors.ts";
import type { Plain } from "../helpers/stock-codec.ts";
import { token } from "./auth.ts";
import { startGateway, type TestGateway } from "./fixture.ts";
import { eventually, settled, stoppedClock } from "./time.ts";

const PING = "{}";

const send = async (gateway: TestGateway, from: number, to = from, padding = 0) => {
  let last = { epoch: "", offset: 0 };
  for (let n = from; n <= to; n++) {
    const data = JSON.stringify({ n, pad: "x".repeat(padding) });
    last = await gateway.gateway.operations.publish("user:ann", data);
  }
  return last;
};

type Client = Awaited<ReturnType<TestGateway["connect"]>>;
const inboxOf = (answer: Plain) => (answer.subs as Record<string, Plain>)["user:ann"]!;
/** Everything of the inbox a client has got: in the answer to its connect, and pushed. */
const got = (client: Pick<Client, "answer" | "data">) =>
  [
    ...((inboxOf(client.answer).publications ?? []) as Plain[]).map(({ data }) => data),
    ...client.data("user:ann"),
  ].map((data) => (data as { n: number }).n);

async function connect(gateway: TestGateway, more: { subs?: object; device?: string } = {}): Promise<Client> {
  const { subs = {}, ...claims } = more;
  const client = gateway.centrifuge();
  const answer = await client.ask({ connect: { token: token({ user: "ann", ...claims }), subs } });
  return Object.assign(client, { answer, id: String(answer.client) });
}

/** Answers pings until the inbox's arrival is proven. */
async function confirm(client: Client, clock: { advance(ms: number): Promise<void> }): Promise<void> {
  const pings = () => client.socket.frames.filter((frame) => frame === PING).length;
  const before = pings();
  await clock.advance(1_500);
  for (let count = pings() - before; count > 0; count--) client.say({});
}

describe("an inbox", () => {
  test("gives a client without a position everything that is kept, and then what comes", async () => {
    await using gateway = await startGateway();
    await send(gateway, 1, 3);
    const ann = await connect(gateway);
    await send(gateway, 4);
    await eventually(() => got(ann).includes(4));
    expect(got(ann)).toEqual([1, 2, 3, 4]);
    // It is no recovery, and the position is one before what is pushed.
    expect(inboxOf(ann.answer)).toMatchObject({ recoverable: true });
    expect(inboxOf(ann.answer).offset ?? 0).toBe(0);
  });

  test("that is empty asks nobody", async () => {
    await using gateway = await startGateway();
    const ann = await connect(gateway);
    expect(got(ann)).toEqual([]);
    await send(gateway, 1);
    await eventually(() => got(ann).length === 1);
  });

  test("gives no message again whose arrival a pong has proven, but any other", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway();
    const first = await connect(gateway);
    await send(gateway, 1, 2);
    await settled();
    await confirm(first, clock);
    await send(gateway, 3);
    await settled();
    first.socket.end(1006, "");
    await settled();
    expect(got(await connect(gateway))).toEqual([3]);
  });

  test("remembers a position for each device", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway();
    await send(gateway, 1, 2);
    const phone = await connect(gateway, { device: "phone" });
    await confirm(phone, clock);
    phone.socket.end(1000, "");
    await settled();
    expect(got(await connect(gateway, { device: "phone" }))).toEqual([]);
    expect(got(await connect(gateway, { device: "laptop" }))).toEqual([1, 2]);
  });

  test("recovers from a client's own position, in its answer", async () => {
    await using gateway = await startGateway();
    const { epoch } = await send(gateway, 1, 4);
    const keeper = await connect(gateway); // the channel stays followed
    const ann = await connect(gateway, { subs: { "user:ann": { recover: true, epoch, offset: 2 } } });
    expect(inboxOf(ann.answer)).toMatchObject({ recovered: true });
    expect(got(ann)).toEqual([3, 4]);
    expect(keeper.socket.closed).toBeUndefined();
  });

  test("gives what is kept when a client's own position leads nowhere", async () => {
    await using gateway = await startGateway();
    await send(gateway, 1, 2);
    const subs = { "user:ann": { recover: true, epoch: "another", offset: 9 } };
    const ann = await connect(gateway, { subs });
    await settled();
    expect(inboxOf(ann.answer).recovered ?? false).toBe(false);
    expect(got(ann)).toEqual([1, 2]);
  });

  test("with more than one answer may hold gives the newest", async () => {
    await using gateway = await startGateway();
    await send(gateway, 1, 14);
    const ann = await connect(gateway);
    await settled();
    expect(got(ann)).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
  });

  test("with more than fits at once is given at the client's pace", async () => {
    await using gateway = await startGateway({ options: { backpressureBytes: 40_000 } });
    await send(gateway, 1, 8, 6_000);
    const ann = await connect(gateway);
    for (let count = 0; count < 10 && got(ann).length < 8; count++) {
      ann.socket.data.drained(ann.socket);
      await settled();
    }
    expect(got(ann)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test("loses nothing that is published while the store and the cursor are read", async () => {
    await using gateway = await startGateway();
    await send(gateway, 1, 2);
    for (const [port, method] of [
      ["presence", "loadCursor"],
      ["broker", "history"],
    ] as const) {
      const gate = gateway[port] as {
        hold(m: string): void;
        open(m: string): void;
        waiting(m: string): number;
      };
      gate.hold(method);
      const connecting = connect(gateway, { device: method });
      await eventually(() => gate.waiting(method) === 1);
      await send(gateway, 3);
      gate.open(method);
      const ann = await connecting;
      await settled();
      expect(got(ann).slice(0, 3)).toEqual([1, 2, 3]);
      expect(new Set(ann.pushes("pub").map(({ offset }) => offset)).size).toBe(ann.pushes("pub").length);
    }
  });

  test("lets nobody in without it while presence or store fail", async () => {
    await using gateway = await startGateway();
    await send(gateway, 1, 2);
    const client = gateway.centrifuge();
    gateway.broker.fail("history", new CommandError(Errors.brokerUnavailable));
    const answer = await client.ask({ connect: { token: token({ user: "ann" }) } });
    expect(answer).toEqual({ error: Errors.brokerUnavailable.code });
    gateway.broker.heal("history");
    expect(got(await connect(gateway))).toEqual([1, 2]);
  });

  test("without history is a channel like any other", async () => {
    await using gateway = await startGateway({ namespaces: { user: { history: null, recovery: "off" } } });
    const ann = await connect(gateway);
    await send(gateway, 1);
    await eventually(() => got(ann).length === 1);
    ann.socket.end(1000, "");
    expect(gateway.presence.calls("saveCursor")).toEqual([]);
  });
});
