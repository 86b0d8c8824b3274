import { expect } from "bun:test";
import { type ClientOptions, type TestClient, testClient } from "../helpers/clients.ts";
import { type RuntimeName, startInstance, type TestInstance } from "../helpers/instances.ts";
import { until } from "../helpers/until.ts";

/** What every backend is tried with: an instance with the embedded broker, which knows no service but the backend. */

const asked = {
  ...{ subscribe: "nobody", publish: "subscriber" },
  ...{ subscribeCallout: "backend", subRefreshCallout: "backend", publishCallout: "backend" },
};

/** Starts an instance that asks the backend about everything. */
export async function calloutInstance(url: string, runtime?: RuntimeName): Promise<TestInstance> {
  return await startInstance({
    ...(runtime && { runtime }),
    config: {
      auth: { connectCallout: "backend", refreshCallout: "backend", expiryGrace: "0s" },
      callouts: {
        endpoints: {
          backend: {
            url: `${url}/{event}`,
            ...{ headers: ["Cookie"], emulatedHeaders: ["Authorization"], meta: true, timeout: "10s" },
          },
        },
      },
      rpc: { callouts: { "*": "backend" } },
      namespaces: { asked },
    },
  });
}

const COOKIE = { cookie: "session=ann" };

/** A client whose requests carry a cookie, as a browser's do. */
function withCookie(instance: TestInstance, options: ClientOptions = {}): TestClient {
  class CookieSocket extends WebSocket {
    constructor(url: string, protocols?: string | string[]) {
      super(url, { headers: COOKIE, ...(protocols && { protocols }) } as never);
    }
  }
  const withHeader = (url: string, init: RequestInit) =>
    fetch(url, { ...init, headers: { ...(init.headers as Record<string, string>), ...COOKIE } });
  return testClient(instance.websocket, { websocket: CookieSocket, fetch: withHeader, ...options });
}

async function answered(instance: TestInstance, kind: string, code: string): Promise<void> {
  const line = `trunkline_callouts_total{to="backend",kind="${kind}",code="${code}"}`;
  await until(async () => (await (await fetch(`${instance.url}/metrics`)).text()).includes(line));
}

const refusal = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: { code: number; message: string }) => error,
  );

/** What is tried, by its name. Each throws when it fails. */
export const CHECKS: Readonly<Record<string, (instance: TestInstance) => Promise<void>>> = {
  async "connect by a cookie"(instance) {
    using ann = withCookie(instance);
    expect((await ann.connected()).data).toEqual({ hello: "ann" });
  },
  async "connect by a cookie, on an HTTP stream"(instance) {
    using ann = withCookie(instance, { transport: "http_stream" });
    expect((await ann.connected()).data).toEqual({ hello: "ann" });
  },
  async "connect by an emulated header"(instance) {
    using ann = testClient(instance.websocket, {
      headers: { Authorization: "Bearer ann" },
      encoding: "protobuf",
    });
    expect((await ann.connected()).data).toEqual({ hello: "ann" });
  },
  async "connect refused"(instance) {
    using eve = testClient(instance.websocket);
    expect(await refusal(eve.connected())).toMatchObject({ code: 4501 });
  },
  async "subscribe and publish"(instance) {
    using ann = withCookie(instance);
    await ann.connected();
    const open = await ann.subscribe("asked:open");
    expect(open.subscribed[0]!.data).toEqual({ welcome: true });
    await ann.subscribe("asked:plain");
    expect(await refusal(ann.subscribe("asked:shut"))).toMatchObject({ code: 403 });
    await ann.centrifuge.publish("asked:open", { text: "hello" });
    expect(await refusal(ann.centrifuge.publish("asked:open", { text: "bad" }))).toMatchObject({
      ...{ code: 400, message: "no" },
    });
    await until(() => open.received.length === 1);
    expect(open.data()).toEqual([{ text: "HELLO", by: "ann" }]);
    expect(open.received[0]!.info).toMatchObject({ connInfo: { name: "Ann" }, chanInfo: { seat: 7 } });
  },
  async "rpc, and a status that is an error"(instance) {
    using ann = withCookie(instance);
    await ann.connected();
    expect((await ann.centrifuge.rpc("sum", { a: 1, b: 2 })).data).toEqual({ sum: 3 });
    expect(await refusal(ann.centrifuge.rpc("fail", {}))).toMatchObject({ code: 100, temporary: true });
    await answered(instance, "rpc", "status_500");
  },
  async "refresh and sub_refresh"(instance) {
    using ann = withCookie(instance);
    await ann.connected();
    const ended: number[] = [];
    const { sub } = await ann.subscribe("asked:open");
    sub.on("subscribing", ({ code }) => ended.push(code));
    await answered(instance, "refresh", "ok");
    await until(() => ended.includes(2501));
    expect(ann.centrifuge.state).toBe("connected" as never);
    expect((await ann.centrifuge.rpc("sum", { a: 1, b: 2 })).data).toEqual({ sum: 3 });
  },
};
