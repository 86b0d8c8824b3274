import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { testClient } from "../helpers/clients.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { type LoginKind, type RolesServer, rolesServer } from "../helpers/nats-roles.ts";
import { natsCli, natsPython } from "../helpers/stock-tools.ts";
import { until } from "../helpers/until.ts";

/** The commands and lines of docs/subjects.md, with the tools they name and the rights that are printed. */

const cli = natsCli();
const python = natsPython();
const PROGRAM = new URL("../programs/nats-py.py", import.meta.url).pathname;
const kinds: readonly LoginKind[] = ["passwords", "credentials"];
const absent = (what: string) => `${what} is absent: npm run test:tools`;

describe.each(kinds)("with %s", (kind) => {
  let stack: AsyncDisposableStack;
  let nats: RolesServer;
  let instance: TestInstance;

  beforeAll(async () => {
    stack = new AsyncDisposableStack();
    nats = stack.use(await rolesServer(kind));
    instance = stack.use(await startInstance({ env: nats.gateway }));
  }, 60_000);

  afterAll(() => stack.disposeAsync());

  /** Runs `nats`, and shows what it said when it failed. */
  const run = async (role: string, ...args: string[]) => {
    const child = Bun.spawn([cli!, ...nats.cli(role), ...args], {
      env: { HOME: nats.server.dir, PATH: process.env.PATH ?? "" },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, err, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    const said = out + err;
    if (code !== 0 || /permissions? violation/i.test(said))
      throw new Error(`nats ${args.join(" ")}\n${said}`);
    return said;
  };

  describe.skipIf(!cli)(`the nats command${cli ? "" : ` (${absent("it")})`}`, () => {
    test("an operator looks after streams", async () => {
      expect(await run("operator", "stream", "ls")).toContain("RT_chat");
      expect(await run("operator", "stream", "info", "RT_chat")).toContain("rt.chat.>");
      expect(await run("operator", "stream", "report")).toContain("RT_EVENTS");
      expect(await run("operator", "account", "info")).toContain("JetStream");
    });

    test("an operator makes a consumer, and its service reads from it", async () => {
      using ann = testClient(instance.websocket, { user: "ann" });
      await ann.connected();
      const add = ["consumer", "add", "RT_EVENTS", "events", "--pull", "--filter", "rtevt.>"];
      await run("operator", ...add, "--ack", "explicit", "--defaults");
      expect(await run("operator", "consumer", "ls", "RT_EVENTS")).toContain("events");
      expect(await run("events", "consumer", "next", "RT_EVENTS", "events")).toContain("rtevt.connect");
    });

    test("a publisher publishes, and asks whether it is stored", async () => {
      using ann = testClient(instance.websocket, { user: "ann" });
      await ann.connected();
      const sub = await ann.subscribe("chat:room.42");
      await run("publisher", "pub", "rt.chat.room.42", '{"text":"hi"}');
      const stored = await run("publisher", "req", "rt.chat.room.42", '{"text":"ho"}', "-H", "Nats-Msg-Id:1");
      expect(stored).toContain('"stream":"RT_chat"');
      await until(() => sub.received.length === 2);
      expect(sub.data()).toEqual([{ text: "hi" }, { text: "ho" }]);
    });

    test("a service is seen", async () => {
      const rpc = await nats.as("rpc");
      const service = await rpc.services.add({ name: "orders", version: "1.0.0" });
      service.addGroup("rtrpc").addEndpoint("orders", { handler: (_, message) => message.respond("{}") });
      await rpc.flush();
      expect(await run("operator", "micro", "ls")).toContain("orders");
      expect(await run("operator", "micro", "info", "orders")).toContain("rtrpc.orders");
      await rpc.close();
    });

    test("a service sends a control signal", async () => {
      using ann = testClient(instance.websocket, { user: "told" });
      await ann.connected();
      const ended = new Promise<number>((resolve) =>
        ann.centrifuge.once("disconnected", ({ code }) => resolve(code)),
      );
      await run("control", "pub", "rtctl.disconnect", '{"user":"told"}');
      expect(await ended).toBe(3503);
    });
  });

  describe.skipIf(!python)(`nats-py${python ? "" : ` (${absent("it")})`}`, () => {
    const start = (role: string) => {
      const args = nats.cli(role);
      const login = args.at(-1) ?? "";
      return Bun.spawn([python!, PROGRAM, nats.url, login, role], { stdin: "ignore", stdout: "pipe" });
    };
    const outcome = async (role: string) => {
      const child = start(role);
      return JSON.parse((await new Response(child.stdout).text()).trim()) as object;
    };

    test("publishes", async () => {
      expect(await outcome("publisher")).toEqual({ result: "RT_chat", violations: [] });
    });

    test("reads events with the consumer an operator has made", async () => {
      const jsm = await (await nats.as("operator")).jetstreamManager();
      const durable_name = "events";
      await jsm.consumers.delete("RT_EVENTS", durable_name).catch(() => {});
      await jsm.consumers.add("RT_EVENTS", {
        ...{ durable_name, ack_policy: "explicit" as never },
        filter_subject: "rtevt.>",
      });
      using ann = testClient(instance.websocket, { user: "python-ann" });
      await ann.connected();
      expect(await outcome("events")).toEqual({
        result: expect.stringMatching(/^rtevt\./) as unknown as string,
        violations: [],
      });
    });

    test("answers an RPC", async () => {
      const child = start("rpc");
      const lines = child.stdout.pipeThrough(new TextDecoderStream() as never) as ReadableStream<string>;
      let said = "";
      const reading = (async () => {
        for await (const line of lines) said += line;
      })();
      await until(() => said.includes("ready"));
      using ann = testClient(instance.websocket, { user: "ann" });
      await ann.connected();
      expect((await ann.centrifuge.rpc("python", {})).data).toEqual({ from: "python" });
      await reading;
      expect(said).toContain('{"result": "rtrpc.python", "violations": []}');
    });
  });
});
