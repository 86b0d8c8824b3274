import { describe, expect, test } from "bun:test";
import type { StreamConfig } from "nats";
import { connect } from "nats";
import { atLeast } from "../../src/core/version.ts";
import { doctor } from "../helpers/doctor.ts";
import { startInstance } from "../helpers/instances.ts";
import { natsServer } from "../helpers/servers.ts";

describe("streams and JetStream", () => {
  test("a stream that is changed is a warning, one that stops the start a failure with the line to type", async () => {
    await using nats = await natsServer();
    const nc = await connect({ servers: nats.url });
    const jsm = await nc.jetstreamManager();
    const add = (config: Partial<StreamConfig>) => jsm.streams.add(config);
    await add({ name: "RT_chat", subjects: ["rt.chat.>"], storage: "memory" as never });
    await add({ name: "RT_user", subjects: ["rt.user.>"] });
    await add({ name: "ORDERS", subjects: ["rt.default.orders"] });
    const { version } = nc.info!;
    const report = await doctor({ env: { NATS_URL: nats.url } });
    expect(report.code).toBe(1);
    expect(report.one("stream RT_chat")).toMatchObject({
      verdict: "failed",
      cause: expect.stringContaining("storage is memory, must be file"),
      fix: expect.stringContaining("nats stream rm RT_chat"),
    });
    expect(report.one("stream RT_user")).toMatchObject({
      verdict: atLeast(version, "2.10") ? "warning" : "failed",
      cause: expect.stringContaining("republish is none, must be rt.user.> → rtl.user.>"),
    });
    expect(report.one("stream RT_default")).toMatchObject({
      verdict: "failed",
      cause: expect.stringContaining("ORDERS captures rt.default.> already"),
      fix: expect.stringContaining("nats stream rm ORDERS"),
    });
    expect(report.one("stream RT_EVENTS").verdict).toBe("ok");
    await nc.close();
  });

  test("smaller history than what is kept", async () => {
    await using nats = await natsServer();
    const env = { NATS_URL: nats.url };
    {
      await using _instance = await startInstance({ env });
    }
    const config = { namespaces: { chat: { history: { size: 7 } } } };
    const report = await doctor({ env, config });
    expect(report.one("stream RT_chat")).toMatchObject({
      verdict: "warning",
      cause: "max_msgs_per_subject is 1000, must be 7",
    });
    expect(report.code).toBe(0);
    const keys = [{ key: "shop-key", secret: "secret-of-the-shop" }];
    const webhooks = [{ url: "https://shop.example/hook" }];
    const apps = [{ id: "shop", keys, namespace: "chat", webhooks }];
    expect((await doctor({ env, config: { apps } })).one("stream RT_WEBHOOKS").verdict).toBe("ok");
    const many = { namespaces: { extra: { history: { size: 7, replicas: 3 } } } };
    expect((await doctor({ env, config: many })).one("stream RT_extra")).toMatchObject({
      verdict: "failed",
      fix: expect.stringContaining("history.replicas"),
    });
  });

  test("an account without JetStream, one that is too narrow, one that may not ask", async () => {
    await using nats = await natsServer(`
      accounts {
        NONE { users: [{ user: none, password: p }] }
        NARROW {
          jetstream { max_file: 100MB, max_streams: 2, max_bytes_required: true, disk_max_stream_bytes: 10MB }
          users: [{ user: narrow, password: p }]
        }
        DENIED {
          jetstream: enabled
          users: [{ user: denied, password: p, permissions: { publish: { deny: "$JS.API.>" } } }]
        }
      }`);
    const as = async (user: string) =>
      await doctor({
        env: { NATS_URL: nats.url.replace("//", `//${user}:p@`), TRUNKLINE_NATS_EVENT_STREAM: "256MiB" },
      });
    const [none, narrow, denied] = await Promise.all([as("none"), as("narrow"), as("denied")]);
    expect(none.one("jetstream")).toMatchObject({
      verdict: "failed",
      what: expect.stringContaining("no JetStream"),
      fix: expect.stringContaining("nats-server -js"),
    });
    const limits = narrow.checks.filter(({ check }) => check === "jetstream limits");
    expect(limits.map(({ verdict, fix }) => [verdict, fix?.split(" }")[0]])).toEqual([
      ["failed", "jetstream { max_streams: 5"],
      ["failed", "jetstream { max_file: 288MB"],
      ["failed", "jetstream { disk_max_stream_bytes: 256MB"],
    ]);
    expect(denied.one("jetstream")).toMatchObject({
      verdict: "failed",
      what: "it cannot be asked",
      cause: "PERMISSIONS_VIOLATION publish $JS.API.INFO",
    });
    expect([none.code, narrow.code, denied.code]).toEqual([1, 1, 1]);
  }, 20_000);

  test("messages longer than the server takes", async () => {
    await using nats = await natsServer();
    const config = { namespaces: { chat: { maxMessage: "1MiB" } }, limits: { backpressure: "4MiB" } };
    const report = await doctor({ env: { NATS_URL: nats.url }, config });
    expect(report.one("nats max_payload")).toMatchObject({
      verdict: "failed",
      fix: expect.stringMatching(/^max_payload: 2097152 .*namespaces\.chat\.maxMessage$/),
    });
  });
});
