import type { StreamTransport } from "../../../src/protocol/centrifuge/stream-codecs.ts";
import type { Frame } from "../../../src/protocol/codec.ts";
import type { Socket, SocketHandler } from "../../../src/runtime/runtime.ts";
import { SHOP_KEY, TestCentrifuge, TestPusher, TestSocket, Topics } from "../../gateway/clients.ts";
import { type RuntimeName, startInstance, TEST_API_KEY } from "../instances.ts";
import { natsServer, redisServer } from "../servers.ts";
import { upstashBridge } from "../upstash-bridge.ts";
import { DoorClient } from "./client.ts";
import { NAMESPACES } from "./namespaces.ts";
import { WebhookReceiver } from "./webhooks.ts";
import { type DoorWorld, natsSide, pusherRequest } from "./world.ts";

/** No test is to be slowed. */
const UNLIMITED = {
  ...{ connectsPerIpPerSecond: 0, requestsPerIpPerSecond: 0, commandsPerSecond: 0, bytesPerSecond: 0 },
  ...{ commandsPerUserPerSecond: 0, publishesPerUserPerSecond: 0, publishBytesPerUserPerSecond: 0 },
  ...{ newChannelsPerUserPerMinute: 0, connectionsPerIp: 0 },
};

/** `serve` in a process of its own, over NATS and over Redis by REST; its doors are reached over the network. */
export async function servedWorld(runtime: RuntimeName): Promise<DoorWorld> {
  const stack = new AsyncDisposableStack();
  const [nats, redis] = [stack.use(await natsServer()), stack.use(await redisServer())];
  const bridge = stack.use(await upstashBridge(redis.port));
  const webhooks = stack.use(new WebhookReceiver());
  const app = { id: "shop", keys: [SHOP_KEY], namespace: "shop", clientEvents: true };
  const instance = stack.use(
    await startInstance({
      runtime,
      env: {
        NATS_URL: nats.url,
        UPSTASH_REDIS_REST_URL: bridge.url,
        UPSTASH_REDIS_REST_TOKEN: bridge.token,
        TRUNKLINE_CONNECT_CALLOUT: "true",
      },
      config: {
        ...{ namespaces: NAMESPACES, limits: UNLIMITED, webhooks: { endpoints: [webhooks.endpoint] } },
        apps: [{ ...app, webhooks: [{ url: webhooks.url }], limits: { clientEventsPerSecond: 0 } }],
      },
    }),
  );
  const side = stack.use(await natsSide(nats.url, new Map()));
  const clients = new Set<TestSocket>();
  const opened = (socket: TestSocket) => {
    clients.add(socket);
    return socket;
  };
  stack.defer(() => endAll(clients));
  return {
    ...{ webhooks, service: side.service, raw: side.raw, events: side.events },
    client(codec, transport) {
      const socket = opened(
        transport
          ? streamSocket(instance.url, transport)
          : webSocket(instance.websocket, codec === "centrifuge-json" ? [] : [codec]),
      );
      return new DoorClient(new TestCentrifuge(socket, codec as "centrifuge-json"), codec);
    },
    emulated: () =>
      new DoorClient(
        new TestCentrifuge(opened(streamSocket(instance.url, "http_stream")), "centrifuge-json"),
        "centrifuge-json",
      ),
    async pusher() {
      const url = `${instance.url.replace("http", "ws")}/app/${SHOP_KEY.key}?protocol=7`;
      const client = new TestPusher(opened(webSocket(url, [])));
      await client.first(({ event }) => event === "pusher:connection_established" || undefined);
      return client;
    },
    async api(path, body) {
      const headers = { "x-api-key": TEST_API_KEY, "content-type": "application/json" };
      return await (
        await fetch(`${instance.url}/api${path === "/" ? "" : path}`, { method: "POST", headers, body })
      ).text();
    },
    async pusherApi(path, body, query) {
      const { url, ...init } = pusherRequest(instance.url, `/apps/shop${path}`, body, query);
      const response = await fetch(url, init);
      return response.ok ? await response.text() : `{"error":${JSON.stringify(await response.text())}}`;
    },
    endClients: () => endAll(clients),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

function endAll(clients: Set<TestSocket>): void {
  for (const socket of clients) socket.end(1000, "");
  clients.clear();
}

/** The client's end of a connection, as a socket of the tests that gets what comes over the network. */
function socketOver(send: (frame: Frame) => void, end: () => void): TestSocket {
  const handler: SocketHandler = {
    opened() {},
    message: (_socket: Socket, frame: Frame) => send(frame),
    onControlFrame() {},
    drained() {},
    closed: end,
  };
  return new TestSocket(handler as TestSocket["data"], new Topics());
}

function webSocket(url: string, protocols: string[]): TestSocket {
  const ws = new WebSocket(url, protocols);
  ws.binaryType = "arraybuffer";
  const open = new Promise<void>((resolve) => {
    ws.onopen = () => resolve();
  });
  const socket = socketOver(
    (frame) => void open.then(() => ws.send(frame as string | Uint8Array<ArrayBuffer>)),
    () => ws.close(),
  );
  ws.onmessage = ({ data }) => socket.send(typeof data === "string" ? data : new Uint8Array(data));
  ws.onclose = ({ code, reason }) => socket.end(code, reason);
  return socket;
}

/** A stream in JSON: the first frame is the body of its request, further ones come in requests of their own. */
function streamSocket(base: string, transport: StreamTransport): TestSocket {
  const abort = new AbortController();
  let begun: Promise<{ session: string; node: string }> | undefined;
  const post = (path: string, body: string) =>
    fetch(`${base}${path}`, { method: "POST", body, signal: abort.signal });
  const socket = socketOver(
    (frame) => {
      if (!begun) begun = read(post(`/connection/${transport}`, frame as string), socket);
      else {
        void begun.then(({ session, node }) =>
          post("/emulation", JSON.stringify({ session, node, data: frame })),
        );
      }
    },
    () => abort.abort(),
  );
  return socket;
}

/** Hands a stream's lines on. Resolves with what its connect answer says for further requests. */
async function read(
  answer: Promise<Response>,
  socket: TestSocket,
): Promise<{ session: string; node: string }> {
  const { promise, resolve } = Promise.withResolvers<{ session: string; node: string }>();
  const lines = async () => {
    const response = await answer;
    const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
    let rest = "";
    for await (const chunk of response.body!) {
      const all = (rest + utf8.decode(chunk, { stream: true })).split("\n");
      rest = all.pop()!;
      for (const line of all) {
        const [, session] = /"session":"([^"]+)"/.exec(line) ?? [];
        const [, node] = /"node":"([^"]+)"/.exec(line) ?? [];
        if (session !== undefined && node !== undefined) resolve({ session, node });
        if (line !== "") socket.send(line);
      }
    }
  };
  lines().then(
    () => socket.end(1000, ""),
    () => socket.end(1006, ""),
  );
  return await promise;
}
