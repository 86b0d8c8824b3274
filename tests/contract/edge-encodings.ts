import { expect, test } from "bun:test";
import { receives } from "../helpers/clients.ts";
import { until } from "../helpers/until.ts";
import type { EdgeContext } from "./edge-context.ts";

/** Clients of both encodings in the same channel, and messages that only one of them has a form for. */
export function encodingsTests({ world, client, fresh }: EdgeContext): void {
  test("JSON and Protobuf clients share a channel, its history and its recovery", async () => {
    const channel = fresh("chat");
    using ann = client("ann", { encoding: "json" });
    using bob = client("bob", { encoding: "protobuf" });
    using cid = client("cid", { encoding: "protobuf" }, "b");
    const all = [ann, bob, cid];
    await Promise.all(all.map((one) => one.connected()));
    const subs = await Promise.all(all.map((one) => one.subscribe(channel)));
    await ann.centrifuge.publish(channel, { from: "json", text: "größe\n" });
    await bob.centrifuge.publish(channel, { from: "protobuf", text: "🙂" });
    await world().b.api("publish", { channel, data: [1.5], tags: { kind: "news" } });
    await Promise.all(subs.map((sub) => receives(sub, 3)));
    for (const one of all) one.breakLink();
    await world().a.api("publish", { channel, data: "missed" });
    await Promise.all(subs.map((sub) => receives(sub, 4)));
    const expected = [{ from: "json", text: "größe\n" }, { from: "protobuf", text: "🙂" }, [1.5], "missed"];
    for (const sub of subs) {
      expect(sub.data()).toEqual(expected);
      expect(sub.received.map(({ info }) => info?.user)).toEqual(["ann", "bob", undefined, undefined]);
      expect(sub.received[2]!.tags).toEqual({ kind: "news" });
      expect(sub.received.map(({ offset }) => offset)).toEqual(subs[0]!.received.map(({ offset }) => offset));
      expect(sub.subscribed.at(-1)).toMatchObject({ wasRecovering: true, recovered: true });
      const { publications } = await sub.sub.history({ limit: -1 });
      expect(publications.map(({ data }) => data as unknown)).toEqual(expected);
    }
  });

  test("bytes arrive as bytes in Protobuf and as base64 in JSON, live and recovered", async () => {
    const channel = fresh("bytes");
    const bytes = new Uint8Array([0, 255, 10, 13, 34]);
    using ann = client("ann", { encoding: "json" });
    using bob = client("bob", { encoding: "protobuf" });
    using cid = client("cid", { encoding: "protobuf" }, "b");
    await Promise.all([ann, bob, cid].map((one) => one.connected()));
    const [inJson, inProtobuf] = await Promise.all([ann.subscribe(channel), bob.subscribe(channel)]);
    await bob.centrifuge.publish(channel, bytes);
    await world().b.api("publish", { channel, b64data: bytes.toBase64() });
    await ann.centrifuge.publish(channel, { json: true });
    await Promise.all([inJson, inProtobuf].map((sub) => receives(sub, 3)));
    ann.breakLink();
    bob.breakLink();
    await cid.centrifuge.publish(channel, new Uint8Array());
    await Promise.all([inJson, inProtobuf].map((sub) => receives(sub, 4)));
    const base64 = bytes.toBase64();
    expect(inJson.data()).toEqual([base64, base64, { json: true }, ""]);
    expect(inProtobuf.data()).toEqual([bytes, bytes, { json: true }, new Uint8Array()]);
  });

  test("a JSON namespace takes no bytes from Protobuf clients but those of JSON", async () => {
    const channel = fresh("chat");
    using bob = client("bob", { encoding: "protobuf" });
    await bob.connected();
    const sub = await bob.subscribe(channel);
    const text = new TextEncoder();
    for (const flawed of [
      new Uint8Array([0, 255]),
      text.encode('{"cut":'),
      text.encode("[".repeat(200) + "]".repeat(200)),
      text.encode('"\\ud800"'),
      new Uint8Array(),
    ]) {
      await expect(bob.centrifuge.publish(channel, flawed)).rejects.toMatchObject({ code: 107 });
    }
    await expect(bob.centrifuge.rpc("m", new Uint8Array([255]))).rejects.toMatchObject({ code: 107 });
    await bob.centrifuge.publish(channel, text.encode('{\n"pretty": 1}'));
    await until(() => sub.received.length === 1);
    expect(sub.data()).toEqual([{ pretty: 1 }]);
  });

  test("differences reach those who asked for them, after a whole message, beside clients that did not", async () => {
    const channel = fresh("scores");
    const score = (n: number) => ({
      match: "a long name of a match",
      n,
      teams: ["größe".repeat(9), "other"],
    });
    using ann = client("ann", { encoding: "json" });
    using bob = client("bob", { encoding: "json" });
    using cid = client("cid", { encoding: "protobuf" }, "b");
    const all = [ann, bob, cid];
    await Promise.all(all.map((one) => one.connected()));
    const subs = await Promise.all(
      all.map((one) => one.subscribe(channel, one === ann ? {} : { delta: "fossil" })),
    );
    const publish = (n: number) => world().a.api("publish", { channel, data: score(n) });
    for (const n of [1, 2, 3]) await publish(n);
    await Promise.all(subs.map((sub) => receives(sub, 3)));
    for (const one of all) one.breakLink();
    for (const n of [4, 5]) await publish(n);
    await Promise.all(subs.map((sub) => receives(sub, 5)));
    await until(() => subs.every((sub) => sub.subscribed.length === 2));
    for (const n of [6, 7]) await publish(n);
    await Promise.all(subs.map((sub) => receives(sub, 7)));
    for (const sub of subs) {
      expect(sub.data()).toEqual([1, 2, 3, 4, 5, 6, 7].map(score));
      expect(sub.subscribed[1]).toMatchObject({ recovered: true });
      const { publications } = await sub.sub.history({ limit: 1, reverse: true });
      expect(publications[0]!.data).toEqual(score(7));
    }
    expect(subs[0]!.sub.deltaStats().numPublications).toBe(0);
    for (const { sub } of subs.slice(1)) expect(sub.deltaStats().numDeltaPayloads).toBeGreaterThanOrEqual(3);
    // Where the namespace does not say so, nobody gets any, and nothing else changes.
    const plain = await cid.subscribe(fresh("chat"), { delta: "fossil" });
    await world().a.api("publish", { channel: plain.sub.channel, data: score(1) });
    await receives(plain, 1);
    expect([plain.data(), plain.sub.deltaStats().numPublications]).toEqual([[score(1)], 0]);
  });
}
