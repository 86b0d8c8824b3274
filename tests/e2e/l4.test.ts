import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { freePort } from "../../src/process/ports.ts";
import { receives, testClient } from "../helpers/clients.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { type Gateway, l4Haproxy, l4Nginx } from "../helpers/l4-proxy.ts";
import { ensureServer, type TestServer } from "../helpers/servers.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** TCP balancers in front of instances that read the PROXY protocol: who the client is, over WebSockets and HTTP. */

const CLIENT = "127.0.0.5";

/** What an instance answers to a request that comes from {@link CLIENT}. */
async function asked(port: number, request: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", localAddress: CLIENT }, () => socket.write(request));
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
    });
    socket.on("close", () => resolve(text));
    socket.on("error", reject);
  });
}

for (const runtime of ["bun", "deno"] as const) {
  describe(`TCP balancers before ${runtime}`, () => {
    const stack = new AsyncDisposableStack();
    let instance: TestInstance;
    let gateway: Gateway;
    beforeAll(async () => {
      const admin = await freePort();
      instance = stack.use(
        await startInstance({
          runtime,
          env: {
            TRUNKLINE_PROXY_PROTOCOL: "true",
            TRUNKLINE_PROXY_CIDRS: "127.0.0.1",
            TRUNKLINE_ADMIN_PORT: `${admin}`,
            // Whoever is known by an address of its own has one connection, and no more.
            TRUNKLINE_LIMITS_CONNECTIONS_PER_IP: "1",
          },
        }),
      );
      gateway = { port: Number(new URL(instance.url).port), admin };
    }, 30_000);
    afterAll(() => stack.disposeAsync());

    const balancers: Readonly<Record<string, () => Promise<TestServer>>> = {
      "HAProxy, version 2": () => l4Haproxy("haproxy-l4.cfg", [gateway]),
      "HAProxy, version 1": () =>
        l4Haproxy("haproxy-l4.cfg", [gateway], [["slowstart 10s send-proxy-v2", "slowstart 10s send-proxy"]]),
      "HAProxy, consistent hashing": () => l4Haproxy("haproxy-hash.cfg", [gateway]),
      "nginx, version 1": () => l4Nginx([gateway]),
    };
    test.each(Object.keys(balancers))("%s", async (name) => {
      await using balancer = await balancers[name]!();
      const url = `ws://${balancer.url}/connection/websocket`;
      using one = testClient(url, { user: "ann" });
      await one.connected();
      const sub = await one.subscribe("chat:l4");
      await one.centrifuge.publish("chat:l4", name);
      await receives(sub, 1);
      expect(sub.data().at(-1)).toBe(name);
      // The next connection of that address is one too many; another address's is not.
      const stream = (token: string) =>
        `POST /connection/uni_http_stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${token.length}\r\n\r\n${token}`;
      const body = JSON.stringify({ token: connectionToken({ user: "bob" }) });
      const second = await fetch(`http://${balancer.url}/connection/uni_http_stream`, {
        method: "POST",
        body,
      });
      expect([second.status, await second.text()]).toEqual([
        429,
        "Too many connections from this address.\n",
      ]);
      const other = asked(balancer.port, stream(body));
      await until(async () => (await instanceClients()) === 2, { what: "a client of another address" });
      void other;
      one.centrifuge.disconnect();
    });

    const instanceClients = async () => {
      const page = await (await fetch(`http://127.0.0.1:${gateway.admin}/metrics`)).text();
      return Number(/^trunkline_connections (\d+)/m.exec(page)?.[1]);
    };
  });
}

test("the shipped files of L4 balancers are what the programs take", async () => {
  const check = (...command: string[]) => {
    const { exitCode, stderr, stdout } = Bun.spawnSync(command, { stderr: "pipe", stdout: "pipe" });
    expect([command[0], exitCode, exitCode === 0 ? "" : `${stderr}${stdout}`]).toEqual([command[0], 0, ""]);
  };
  for (const file of ["haproxy-l4.cfg", "haproxy-hash.cfg"]) {
    check(ensureServer("haproxy"), "-c", "-f", new URL(`../../deploy/l4/${file}`, import.meta.url).pathname);
  }
  const keepalived = Bun.which("keepalived", { PATH: `${process.env.PATH}:/usr/sbin` });
  if (keepalived)
    check(keepalived, "-t", "-f", new URL("../../deploy/l4/keepalived.conf", import.meta.url).pathname);
});
