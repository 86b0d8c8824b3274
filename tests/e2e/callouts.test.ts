import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect, type NatsConnection } from "nats";
import { testClient } from "../helpers/clients.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { natsServer } from "../helpers/servers.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** A service over plain NATS decides who comes in, and what may be subscribed to and published. */

let stack: AsyncDisposableStack;
let nc: NatsConnection;
let instance: TestInstance;

const config = {
  auth: { connectCallout: true },
  rpc: { timeout: "500ms" },
  namespaces: {
    asked: {
      history: { size: 10, age: "1h" },
      recovery: "stream",
      subscribe: "authenticated",
      publish: "authenticated",
      subscribeCallout: true,
      publishCallout: true,
    },
    bytes: {
      format: "binary",
      // Bun's WebSocket client now and then takes a frame for a broken one and comes again: nothing is lost so.
      history: { size: 10, age: "1h" },
      recovery: "stream",
      subscribe: "authenticated",
      publish: "authenticated",
      publishCallout: true,
    },
  },
};

/** Answers requests on a subject with what `answer` makes of them. */
function service(subject: string, answer: (request: Record<string, never>) => unknown): void {
  nc.subscribe(subject, {
    callback: (_error, message) => message.respond(JSON.stringify(answer(message.json()))),
  });
}

beforeAll(async () => {
  stack = new AsyncDisposableStack();
  const nats = stack.use(await natsServer());
  instance = stack.use(await startInstance({ config, env: { NATS_URL: nats.url } }));
  nc = await connect({ servers: nats.url });
  stack.defer(() => nc.close());
  service("rtauth.connect", ({ data, headers }: Record<string, Record<string, string>>) => {
    if (data?.password === "right")
      return { user: data.name, info: { via: headers?.via }, data: { hello: data.name } };
    return { disconnect: { code: 4501, reason: "wrong password" } };
  });
  service("rtauth.subscribe", ({ channel, user }: Record<string, string>) =>
    channel === "asked:open"
      ? { info: { seat: user }, data: { welcome: true } }
      : { error: { code: 403, message: "closed" } },
  );
  service("rtauth.publish", ({ data, b64data }) => {
    if (b64data !== undefined) return b64data === "AAE=" ? {} : { error: { code: 401, message: b64data } };
    return data === "bad" ? { error: { code: 400, message: "no" } } : { data: [data] };
  });
  await nc.flush();
}, 60_000);

afterAll(() => stack.disposeAsync());

test("connect: a service names the user, or turns the client away", async () => {
  using ann = testClient(instance.websocket, {
    data: { name: "ann", password: "right" },
    headers: { via: "test" },
  });
  expect((await ann.connected()).data).toEqual({ hello: "ann" });
  using eve = testClient(instance.websocket, { data: { name: "eve", password: "wrong" } });
  await expect(eve.connected()).rejects.toMatchObject({ code: 4501 });
});

test("subscribe and publish: a service decides, adds and changes", async () => {
  using ann = testClient(instance.websocket, { user: "ann" });
  await ann.connected();
  const sub = await ann.subscribe("asked:open");
  expect(sub.subscribed[0]!.data).toEqual({ welcome: true });
  await expect(ann.subscribe("asked:shut")).rejects.toMatchObject({ code: 403 });
  await ann.centrifuge.publish("asked:open", 12);
  await expect(ann.centrifuge.publish("asked:open", "bad")).rejects.toMatchObject({
    code: 400,
    message: "no",
  });
  await until(() => sub.received.length === 1);
  expect(sub.data()).toEqual([[12]]);
  expect(sub.received[0]!.info).toMatchObject({ user: "ann", chanInfo: { seat: "ann" } });
});

test("what a Protobuf client publishes is asked about as JSON where it is JSON, and else as base64", async () => {
  using ann = testClient(instance.websocket, { user: "ann", encoding: "protobuf" });
  await ann.connected();
  const [inJson, inBytes] = [await ann.subscribe("asked:open"), await ann.subscribe("bytes:b")];
  await ann.centrifuge.publish("asked:open", 12);
  await expect(ann.centrifuge.publish("asked:open", "bad")).rejects.toMatchObject({ code: 400 });
  const broken = new TextEncoder().encode('1,"b64data":"AAE="');
  await expect(ann.centrifuge.publish("asked:open", broken)).rejects.toMatchObject({ code: 107 });
  await ann.centrifuge.publish("bytes:b", new Uint8Array([0, 1]));
  await expect(ann.centrifuge.publish("bytes:b", new Uint8Array([255]))).rejects.toMatchObject({
    code: 401,
    message: "/w==",
  });
  await until(() => inJson.received.length > 0 && inBytes.received.length > 0);
  expect(inJson.data()).toEqual([[12]]);
  expect(inBytes.data()).toEqual([new Uint8Array([0, 1])]);
});

test("a service that does not answer is a temporary error: the client tries again", async () => {
  await using other = await startInstance({
    config: { auth: { connectCallout: true }, rpc: { timeout: "200ms" }, nats: { root: "other" } },
    env: { NATS_URL: `nats://127.0.0.1:${nc.getServer().split(":")[1]}` },
  });
  using ann = testClient(other.websocket, { data: {} });
  const errors: number[] = [];
  ann.centrifuge.on("error", ({ error }) => errors.push(error.code));
  ann.centrifuge.connect();
  await until(() => errors.includes(100));
  expect(ann.centrifuge.state).toBe("connecting" as never);
  // With a token of its own nobody needs to be asked.
  using bob = testClient(other.websocket, { getToken: async () => connectionToken({ user: "bob" }) });
  await bob.connected();
});
