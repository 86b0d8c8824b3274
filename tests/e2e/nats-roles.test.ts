import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AckPolicy, connect, headers, type NatsConnection } from "nats";
import { mayDo, rolesOf } from "../../src/cli/nats/roles.ts";
import { subjects } from "../../src/core/subject.ts";
import { atLeast } from "../../src/core/version.ts";
import { testClient } from "../helpers/clients.ts";
import { trunkline } from "../helpers/command.ts";
import { doctor } from "../helpers/doctor.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { type LoginKind, type RolesServer, rolesServer } from "../helpers/nats-roles.ts";
import { natsServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

/** The roles of NATS, as passwords and as credentials: what each can do, and what it cannot take from others. */

const kinds: readonly LoginKind[] = ["passwords", "credentials"];

/** Everything the server refuses on a connection from now on. */
function refusals(nc: NatsConnection): string[] {
  const seen: string[] = [];
  void (async () => {
    for await (const { type, permissionContext } of nc.status()) {
      if (type === "error" && permissionContext) {
        seen.push(`${permissionContext.operation} ${permissionContext.subject}`);
      }
    }
  })();
  return seen;
}

describe.each(kinds)("with %s", (kind) => {
  let stack: AsyncDisposableStack;
  let nats: RolesServer;
  let instance: TestInstance;

  const as = async (...login: Parameters<RolesServer["as"]>) => {
    const nc = await nats.as(...login);
    stack.defer(() => nc.close());
    return nc;
  };

  beforeAll(async () => {
    stack = new AsyncDisposableStack();
    nats = stack.use(await rolesServer(kind));
    const config = { namespaces: { gate: { subscribeCallout: true } } };
    instance = stack.use(await startInstance({ env: nats.gateway, config }));
  }, 60_000);

  afterAll(() => stack.disposeAsync());

  test("doctor tries every role, and finds them as printed", async () => {
    const report = await doctor({ env: { ...nats.gateway, ...nats.env }, flags: nats.flags });
    const roles = rolesOf(subjects());
    expect(roles.length).toBe(7);
    for (const { name } of roles) {
      expect([name, report.one(`nats role ${name}`).verdict, report.one(`nats role ${name}`).cause]).toEqual([
        name,
        "ok",
        undefined,
      ]);
    }
    expect(report.one("nats rights").verdict).toBe("ok");
    expect(report.code).toBe(0);
  });

  test("trying the roles has changed nothing", async () => {
    const nc = await as("operator");
    const jsm = await nc.jetstreamManager();
    const names = (await jsm.streams.list().next()).map(({ config: { name } }) => name);
    expect(names.sort()).toEqual(["RT_ENTRIES", "RT_EVENTS", "RT_chat", "RT_default", "RT_user"]);
    const { state } = await jsm.streams.info("RT_EVENTS", { subjects_filter: "rtevt.>" });
    expect(Object.keys(state.subjects ?? {}).filter((subject) => subject.includes("doctor"))).toEqual([]);
  });

  test("whoever publishes may have the servers say what they do with a message, and operators read it", async () => {
    const operator = await as("operator");
    const heard: string[] = [];
    operator.subscribe("rttrace.>", { callback: (_, { subject }) => heard.push(subject) });
    await operator.flush();
    const subjectOf = {
      gateway: "rt.default.traced",
      publisher: "rt.default.traced",
      control: "rtctl.refresh",
    };
    for (const [name, subject] of Object.entries(subjectOf)) {
      const nc = await as(name);
      const refused = refusals(nc);
      const out = headers();
      out.set("Nats-Trace-Dest", `rttrace.${name}`);
      nc.publish(subject, "{}", { headers: out });
      await nc.flush();
      expect([name, refused]).toEqual([name, []]);
    }
    // Older servers take the header for one of ours.
    if (!atLeast(operator.info!.version, "2.11")) return;
    await until(() => heard.length === 3, { what: "the servers to tell" });
  });

  test("nobody hears the answers of others", async () => {
    for (const { name } of rolesOf(subjects())) {
      const nc = await as(name);
      const refused = refusals(nc);
      const others = rolesOf(subjects()).filter((role) => role.name !== name);
      const wanted = ["_INBOX.>", "rtinbox.>", ">", ...others.map(({ inbox }) => `${inbox}.>`)];
      for (const subject of wanted) nc.subscribe(subject, { callback: () => {} });
      await nc.flush();
      await until(() => refused.length === wanted.length, { what: `${name} to be refused all of ${wanted}` });
    }
  });

  test("only the auth service decides who is let in", async () => {
    const service = await as("auth");
    service.subscribe("rtauth.subscribe", {
      callback: (_error, message) => message.respond('{"error":{"code":403,"message":"no"}}'),
    });
    const others = await Promise.all(
      ["publisher", "rpc", "control", "events", "operator"].map((name) => as(name)),
    );
    const heard: string[] = [];
    for (const nc of others) {
      const refused = refusals(nc);
      nc.subscribe("rtauth.>", { callback: (error) => void (error || heard.push("a question")) });
      await nc.flush();
      await until(() => refused.length === 1);
    }
    using ann = testClient(instance.websocket, { user: "ann" });
    await ann.connected();
    await expect(ann.subscribe("gate:x")).rejects.toThrow();
    expect(heard).toEqual([]);
  });

  test("an RPC is answered by a micro service, which operators can see", async () => {
    const service = await (await as("rpc")).services.add({ name: "orders", version: "1.0.0" });
    service.addGroup("rtrpc").addEndpoint("orders", { handler: (_, message) => message.respond('{"ok":1}') });
    const operator = await as("operator");
    const found = await until(async () => {
      const all: string[] = [];
      for await (const { name } of await operator.services.client().ping()) all.push(name);
      return all.length > 0 && all;
    });
    expect(found).toEqual(["orders"]);
    using ann = testClient(instance.websocket, { user: "ann" });
    await ann.connected();
    expect((await ann.centrifuge.rpc("orders", {})).data).toEqual({ ok: 1 });
  });

  test("a publisher publishes, and learns that it is stored", async () => {
    using ann = testClient(instance.websocket, { user: "ann" });
    await ann.connected();
    const sub = await ann.subscribe("chat:roles");
    const publisher = await as("publisher");
    const { stream } = await publisher.jetstream().publish("rt.chat.roles", '{"n":1}');
    expect(stream).toBe("RT_chat");
    await until(() => sub.received.length === 1);
    // The mark of a removed history, which would make positions void.
    const refused = refusals(publisher);
    publisher.publish("rt.chat.%.roles", "");
    publisher.publish("rt.%.crowd.4.1.%.roles", "");
    await publisher.flush();
    await until(() => refused.length === 2);
  });

  test("a consumer reads its own events, and can neither make, change nor remove any", async () => {
    const jsm = await (await as("operator")).jetstreamManager();
    for (const durable_name of ["events", "billing"]) {
      await jsm.consumers.add("RT_EVENTS", { durable_name, ack_policy: AckPolicy.Explicit });
    }
    using ann = testClient(instance.websocket, { user: "events-ann" });
    await ann.connected();
    const nc = await as("events");
    const consumer = await nc.jetstream().consumers.get("RT_EVENTS", "events");
    const message = await until(() => consumer.next({ expires: 1_000 }).then((one) => one ?? undefined));
    expect(message.subject).toStartWith("rtevt.");
    expect(await message.ackAck()).toBe(true);
    const refused = refusals(nc);
    const tries = [
      "$JS.API.CONSUMER.CREATE.RT_EVENTS.mine",
      "$JS.API.CONSUMER.CREATE.RT_EVENTS.billing.rtevt.connect",
      "$JS.API.CONSUMER.DURABLE.CREATE.RT_EVENTS.mine",
      "$JS.API.CONSUMER.DELETE.RT_EVENTS.billing",
      "$JS.API.CONSUMER.MSG.NEXT.RT_EVENTS.billing",
      "$JS.API.STREAM.MSG.GET.RT_EVENTS",
      "$JS.API.DIRECT.GET.RT_chat",
    ];
    for (const subject of tries) nc.publish(subject, "{}");
    await nc.flush();
    await until(() => refused.length === tries.length);
    expect((await jsm.consumers.info("RT_EVENTS", "billing")).num_pending).toBeGreaterThan(0);
  });

  test("control signals work, and those of gateways do not", async () => {
    const control = await as("control");
    const refused = refusals(control);
    for (const kind of ["emulate", "clear", "alive", "inst.x.disconnect"])
      control.publish(`rtctl.${kind}`, "{}");
    await control.flush();
    await until(() => refused.length === 4);
    using ann = testClient(instance.websocket, { user: "kicked" });
    await ann.connected();
    const ended = new Promise<number>((resolve) =>
      ann.centrifuge.once("disconnected", ({ code }) => resolve(code)),
    );
    control.publish("rtctl.disconnect", '{"user":"kicked"}');
    expect(await ended).toBe(3503);
  });
});

test("an instance lends its rights to nobody: no signal comes from a stream, no answer goes where messages go", async () => {
  await using server = await natsServer();
  await using instance = await startInstance({ env: { NATS_URL: server.url } });
  const nc = await connect({ servers: server.url });
  const answers: string[] = [];
  for (const subject of ["rtl.chat.x", "rtinbox.control.1", "_INBOX.x"]) {
    nc.subscribe(subject, { callback: (_error, message) => void answers.push(message.subject) });
  }
  for (const reply of ["rtl.chat.x", "rtinbox.control.1", "_INBOX.x"])
    nc.publish("rtctl.info", "{}", { reply });
  await until(() => answers.length >= 2);
  using ann = testClient(instance.websocket, { user: "ann" });
  await ann.connected();
  const jsm = await nc.jetstreamManager();
  // Events of users, delivered as signals: each names a user.
  await jsm.consumers.add("RT_EVENTS", { durable_name: "forger", ack_policy: AckPolicy.Explicit });
  await until(async () => {
    nc.publish("$JS.API.CONSUMER.MSG.NEXT.RT_EVENTS.forger", "", { reply: "rtctl.disconnect" });
    return (await jsm.consumers.info("RT_EVENTS", "forger")).delivered.consumer_seq > 0;
  });
  await expect(ann.centrifuge.rpc("nobody", {})).rejects.toMatchObject({ code: 104 });
  expect(ann.centrifuge.state).toBe("connected" as never);
  expect(answers.sort()).toEqual(["_INBOX.x", "rtinbox.control.1"]);
  await nc.close();
});

test("doctor says which rights are missing, and which are too many", async () => {
  await using nats = await rolesServer("passwords");
  const file = `${nats.server.dir}/nats.conf`;
  const text = await Bun.file(file).text();
  const wide = text
    .replace('"rtinbox.publisher.>"', '"rtinbox.publisher.>", "_INBOX.>"')
    .replace('subscribe: ["rtrpc.>", ', "subscribe: [")
    .replace('"rtinbox.gateway.>"]', '"rtinbox.gate.>"]');
  await Bun.write(file, wide);
  await nats.server.kill();
  await nats.server.restart();
  const report = await doctor({ env: { ...nats.gateway, ...nats.env }, flags: nats.flags });
  expect(report.code).toBe(1);
  expect(report.one("nats role publisher").cause).toBe(
    "may subscribe to _INBOX.%doctor\nmay subscribe to _INBOX.>",
  );
  expect(report.one("nats role rpc").cause).toBe("may not subscribe to rtrpc.%doctor");
  expect(report.one("nats rights").cause).toContain("subscribe to rtinbox.gateway.%doctor");
  expect(report.one("nats role auth").verdict).toBe("ok");
});

test("rights are matched as nats-server matches them", () => {
  const [gateway, publisher] = rolesOf(subjects());
  expect(mayDo(publisher!, "publish", "rt.chat.a.b")).toBe(true);
  expect(mayDo(publisher!, "publish", "rt.chat.%.a")).toBe(false);
  expect(mayDo(publisher!, "publish", "rt.%.chat.4.1.a")).toBe(true);
  expect(mayDo(publisher!, "publish", "rt")).toBe(false);
  expect(mayDo(gateway!, "subscribe", ">")).toBe(false);
  expect(mayDo(gateway!, "publish", "$JS.API.STREAM.INFO.RT_chat")).toBe(true);
  expect(mayDo(gateway!, "publish", "$JS.API.STREAM.INFO.RT_chat.x")).toBe(false);
});

test("keys stay the same when rights are made anew, and nobody else may read them", async () => {
  const dir = await mkdtemp(join(tmpdir(), "trunkline-roles-"));
  try {
    const config = ["config", "--nats", "--jwt", dir];
    const { code, out } = await trunkline(config);
    expect([code, out]).toEqual([0, expect.stringContaining("resolver.conf") as unknown as string]);
    const key = await readFile(join(dir, "keys", "account.nk"), "utf8");
    expect((await trunkline([...config, "--consumers", "billing,audit"])).code).toBe(0);
    expect(await readFile(join(dir, "keys", "account.nk"), "utf8")).toBe(key);
    for (const file of ["billing.creds", "keys/audit.nk", "keys/operator.nk"]) {
      expect((await stat(join(dir, file))).mode & 0o077).toBe(0);
    }
    expect(out).not.toContain(key.trim());
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test("a consumer is not called what a role is, nor what a subject cannot hold", async () => {
  for (const names of ["gateway", "a b", "x,x", "_x", ""]) {
    const { code, err } = await trunkline(["config", "--nats", "--consumers", names]);
    expect([names, code]).toEqual([names, 1]);
    expect(err).toContain("--consumers");
  }
  const { out } = await trunkline(["config", "--nats", "--consumers", "billing"]);
  expect(out).toContain("user: billing, password: $BILLING_PASSWORD");
  expect(out).not.toContain("user: events");
});
