import { expect, test } from "bun:test";
import { connect } from "nats";
import { metric } from "../helpers/hostile.ts";
import { startInstance } from "../helpers/instances.ts";
import { natsServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

/** What one user stores takes room from its own namespace; where there is none, whoever asks is told. */

const TEST_MS = 60_000;

const MIB = 1024 ** 2;

async function streamsOf(url: string) {
  const nc = await connect({ servers: url });
  const jsm = await nc.jetstreamManager();
  return { jsm, [Symbol.asyncDispose]: () => nc.close() };
}

test(
  "every stream has a limit of bytes: what was set, or what there is room for; an operator's own stays",
  async () => {
    // Less than the many streams would like to have; defaults must leave room for those that come after them.
    await using nats = await natsServer("", undefined, "600MB");
    const many = Object.fromEntries(
      Array.from({ length: 30 }, (_, n) => [`n${n}`, { history: { size: 10 } }]),
    );
    const config = { namespaces: { tiny: { history: { total: "2MiB" } }, ...many } };
    const env = { NATS_URL: nats.url };
    await using streams = await streamsOf(nats.url);
    const bytesOf = async (name: string) => (await streams.jsm.streams.info(name)).config.max_bytes / MIB;
    {
      await using _instance = await startInstance({ env, config });
      expect(await bytesOf("RT_tiny")).toBe(2);
      const names = [
        "RT_EVENTS",
        "RT_default",
        "RT_chat",
        "RT_user",
        ...Object.keys(many).map((n) => `RT_${n}`),
      ];
      const given = await Promise.all(names.map(bytesOf));
      for (const [n, bytes] of given.entries()) {
        expect([names[n], [256, 64, 16, -1 / MIB].includes(bytes) || bytes]).toEqual([names[n], true]);
      }
      const reserved = given.reduce((sum, bytes) => sum + Math.max(0, bytes), 0);
      expect(reserved).toBeGreaterThan(100);
      expect(reserved).toBeLessThan(600 - 16);
    }
    await streams.jsm.streams.update("RT_chat", { max_bytes: 5 * MIB });
    await using _again = await startInstance({ env, config });
    expect(await bytesOf("RT_chat")).toBe(5);
  },
  TEST_MS,
);

test(
  "a namespace that is full drops its own oldest messages, and takes no room from another one",
  async () => {
    await using nats = await natsServer();
    await using instance = await startInstance({
      env: { NATS_URL: nats.url },
      config: { namespaces: { chat: { history: { total: "1MiB" } } } },
    });
    await instance.api("publish", { channel: "user:ann", data: "before" });
    for (let n = 0; n < 40; n++) {
      await instance.api("publish", { channel: `chat:room${n}`, data: { n, pad: "x".repeat(50_000) } });
    }
    const kept = async (channel: string) =>
      (await instance.api<{ publications: unknown[] }>("history", { channel, limit: 10 })).publications
        .length;
    expect(await kept("chat:room0")).toBe(0);
    expect(await kept("chat:room39")).toBe(1);
    expect(await kept("user:ann")).toBe(1);
  },
  TEST_MS,
);

test(
  "where nothing can be stored publishers are told at once, the instance is not ready, log and metrics say why",
  async () => {
    await using nats = await natsServer("", undefined, "330MB");
    await using instance = await startInstance({ env: { NATS_URL: nats.url } });
    // Somebody else takes the rest of the disk.
    await using streams = await streamsOf(nats.url);
    await streams.jsm.streams.add({ name: "GREEDY", subjects: ["greedy"], max_msg_size: 900_000 });
    const nc = await connect({ servers: nats.url });
    await using _nc = { [Symbol.asyncDispose]: () => nc.close() };
    const body = new Uint8Array(900_000);
    let full = false;
    while (!full) {
      const answers = await Promise.all(Array.from({ length: 16 }, () => nc.request("greedy", body)));
      full = answers.some((answer) => answer.json<{ error?: object }>().error !== undefined);
    }
    const publish = () => instance.api("publish", { channel: "chat:x", data: 1 });
    await expect(publish()).rejects.toThrow();
    await until(async () => (await fetch(`${instance.url}/readyz`)).status === 503);
    expect(await (await fetch(`${instance.url}/readyz`)).json()).toMatchObject({
      reasons: ["nothing can be stored"],
    });
    const began = performance.now();
    await expect(publish()).rejects.toThrow();
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(await metric(instance, "trunkline_storage_full_streams")).toBeGreaterThan(0);
    expect(instance.lines.filter(({ message }) => `${message}`.includes("no room"))).toHaveLength(1);
    await streams.jsm.streams.delete("GREEDY");
    await until(() =>
      publish().then(
        () => true,
        () => false,
      ),
    );
    await until(async () => (await fetch(`${instance.url}/readyz`)).status === 200);
  },
  TEST_MS,
);
