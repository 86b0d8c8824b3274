import { describe, expect, test } from "bun:test";
import type { ChannelSink } from "../../src/broker/broker.ts";
import type { Plain } from "../helpers/stock-codec.ts";
import { startGateway, type TestGateway } from "./fixture.ts";
import { eventually, settled } from "./time.ts";

type Client = ReturnType<TestGateway["pusher"]>;

const trigger = async (gateway: TestGateway, channel: string, n: number, more: object = {}, pad = 0) =>
  await gateway.gateway.operations.publish(`shop:${channel}`, JSON.stringify({ n, pad: "x".repeat(pad) }), {
    event: "e",
    ...more,
  });
const numbers = (client: Client) => client.events("e").map((data) => (data as { n: number }).n);
/** Positions the client was told. */
const positions = (client: Client, channel: string) =>
  client.messages
    .filter((message) => message.event === "trunkline:position" && message.channel === channel)
    .map(({ data }) => data as Plain);

/** A client that counts, and says where it was. */
function counting(gateway: TestGateway, resume: object = {}): Client {
  const client = gateway.pusher();
  client.say("trunkline:resume", resume);
  return client;
}

describe("a client that counts", () => {
  test("is told where it is, and comes back to what it missed", async () => {
    await using gateway = await startGateway();
    const { epoch, offset } = await trigger(gateway, "a", 0);
    const client = counting(gateway);
    await client.subscribe("a");
    const [told] = positions(client, "a");
    expect(told).toMatchObject({ epoch, offset });
    for (const n of [1, 2, 3, 4]) await trigger(gateway, "a", n);
    await eventually(() => numbers(client).length === 4);
    client.socket.end(1006, "");
    const again = counting(gateway, { sockets: [client.id], channels: { a: [epoch, offset, 2] } });
    await again.subscribe("a");
    await trigger(gateway, "a", 5);
    await eventually(() => numbers(again).includes(5));
    expect(numbers(again)).toEqual([3, 4, 5]);
    expect(positions(again, "a")[0]).toMatchObject({ epoch, offset: offset + 2 });
    expect(gateway.stats.recoveries.get("messages")).toBe(1);
  });

  test("that has missed nothing is told so, and one that stock clients would be gets no position", async () => {
    await using gateway = await startGateway();
    const { epoch, offset } = await trigger(gateway, "a", 0);
    const client = counting(gateway, { channels: { a: [epoch, offset, 0] } });
    await client.subscribe("a");
    expect(positions(client, "a")).toHaveLength(1);
    expect(gateway.stats.recoveries.get("empty")).toBe(1);
    const stock = gateway.pusher();
    await stock.subscribe("a");
    stock.say("trunkline:position", {}, "a");
    expect(positions(stock, "a")).toEqual([]);
  });

  test("gets nothing again that was not for a connection it had before", async () => {
    await using gateway = await startGateway();
    const client = counting(gateway);
    await client.subscribe("a");
    const { epoch, offset } = positions(client, "a")[0] as { epoch: string; offset: number };
    client.socket.end(1006, "");
    await trigger(gateway, "a", 1, { except: client.id });
    await trigger(gateway, "a", 2);
    const again = counting(gateway, {
      sockets: [client.id, 5, "x".repeat(100)],
      channels: { a: [epoch, offset, 0] },
    });
    await again.subscribe("a");
    await trigger(gateway, "a", 3, { except: client.id }); // published late
    await trigger(gateway, "a", 4);
    await eventually(() => numbers(again).includes(4));
    expect(numbers(again)).toEqual([2, 4]);
  });

  test.each([
    ["another epoch", ["another", 1, 0]],
    ["more than a recovery may bring", ["", 0, 0]],
    ["what is no place", ["", -1, 0]],
    ["nothing", 5],
  ])("is told where it goes on when it cannot be had: %s", async (what, point) => {
    await using gateway = await startGateway();
    for (let n = 0; n < 12; n++) await trigger(gateway, "a", n);
    const client = counting(gateway, { channels: { a: point } });
    await client.subscribe("a");
    const [told] = positions(client, "a");
    expect(told).toMatchObject({ offset: 12 });
    const lost = what === "another epoch" || what.startsWith("more");
    expect(told!.recovered ?? told!.lost === undefined).toBe(!lost);
    expect(numbers(client)).toEqual([]);
  });

  test("may ask for its position, where it is subscribed", async () => {
    await using gateway = await startGateway();
    const client = counting(gateway);
    await client.subscribe("a");
    await trigger(gateway, "a", 1);
    await eventually(() => numbers(client).length === 1);
    client.say("trunkline:position", {}, "a");
    client.say("trunkline:position", {}, "b");
    client.say("trunkline:position", {});
    expect(positions(client, "a").map(({ offset }) => offset)).toEqual([0, 1]);
  });

  test("is told when continuity breaks, and goes on", async () => {
    await using gateway = await startGateway();
    const [client, stock] = [counting(gateway), gateway.pusher()];
    for (const one of [client, stock]) await one.subscribe("a");
    const call = gateway.broker.calls("attach").find(([name]) => (name as Plain).id === "shop:a");
    const sink = call![1] as ChannelSink;
    sink.lost({ epoch: "new", offset: 7 }, "epoch");
    expect(positions(client, "a").at(-1)).toMatchObject({ epoch: "new", offset: 7 });
    expect(positions(stock, "a")).toEqual([]);
    sink.publication({ offset: 8, data: '{"n":8}', event: "e", timeMs: Date.now() });
    expect([numbers(client), numbers(stock)]).toEqual([[8], [8]]);
  });

  test("is brought up to date at its own pace", async () => {
    await using gateway = await startGateway({ options: { backpressureBytes: 40_000 } });
    const first = await trigger(gateway, "a", 0);
    for (let n = 1; n <= 8; n++) await trigger(gateway, "a", n, {}, 6_000);
    const client = counting(gateway, { channels: { a: [first.epoch, first.offset, 0] } });
    client.socket.buffered = 20_000;
    await client.subscribe("a");
    await settled();
    expect(numbers(client).length).toBeLessThan(8);
    client.say("trunkline:position", {}, "a"); // not while it is behind
    expect(positions(client, "a")).toHaveLength(1);
    await trigger(gateway, "a", 9);
    for (let count = 0; count < 20 && !numbers(client).includes(9); count++) {
      client.socket.buffered = 0;
      client.socket.data.drained(client.socket);
      await settled();
    }
    expect(numbers(client)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("that does not keep up with what is kept is told so, and goes on from here", async () => {
    const history = { size: 4, ageMs: 60_000, recoverLimit: 10, replicas: 1 };
    await using gateway = await startGateway({
      ...{
        options: { backpressureBytes: 40_000, ringBytes: 4_096 },
        namespaces: { shop: { history } },
      },
    });
    const first = await trigger(gateway, "a", 0);
    for (let n = 1; n <= 3; n++) await trigger(gateway, "a", n, {}, 6_000);
    const client = counting(gateway, { channels: { a: [first.epoch, first.offset, 0] } });
    client.socket.buffered = 20_000;
    await client.subscribe("a");
    for (let n = 4; n <= 12; n++) await trigger(gateway, "a", n, {}, 6_000);
    client.socket.buffered = 0;
    client.socket.data.drained(client.socket);
    await eventually(() => positions(client, "a").length === 2);
    expect(positions(client, "a")[1]).toMatchObject({ offset: 13 });
    await trigger(gateway, "a", 13);
    await eventually(() => numbers(client).includes(13));
  });
});
