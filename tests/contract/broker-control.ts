import { expect, test } from "bun:test";
import type { BrokerStatus, SentEvent } from "../../src/broker/broker.ts";
import { CommandError, Errors } from "../../src/core/errors.ts";
import { until } from "../helpers/until.ts";
import {
  type Context,
  failsWith,
  follow,
  freshChannel,
  has,
  numbered,
  publishAll,
  Recorder,
  TEST_MS,
} from "./broker-context.ts";

/** Notices, signals, surveys, requests, events and the life of a broker. */
export function controlContract(context: () => Context): void {
  test("events reach whoever is attached, on every instance, in order, and are never stored", async () => {
    const { a, b } = context();
    for (const namespace of ["keep", "live"]) {
      const channel = freshChannel(namespace);
      const [own, other, gone] = [
        await follow(a, channel),
        await follow(b, channel),
        await follow(b, channel),
      ];
      const elsewhere = await follow(b, freshChannel(namespace));
      gone.attachment.detach();
      const events: SentEvent[] = [];
      for (let n = 0; n < 10; n++) {
        const info = { client: `c${n}`, user: 'ü"\r\n', connInfo: '{"big":12345678901234567890}' };
        events.push({ kind: n % 2 ? "leave" : "join", info });
      }
      for (const event of events) a.broker.sendEvent(channel, event);
      for (const { sink } of [own, other]) {
        await until(() => sink.events.length === 10, { what: "channel events" });
        expect(sink.events).toEqual(events);
        expect(sink.publications).toEqual([]);
      }
      await a.broker.publish(channel, "1");
      await has(other.sink, 1);
      expect(gone.sink.events).toEqual([]);
      expect(elsewhere.sink.events).toEqual([]);
      if (namespace === "live") continue;
      const { publications } = await b.broker.history(channel, { limit: 10 });
      expect(publications.map((one) => one.data)).toEqual(["1"]);
      const late = await follow(b, channel);
      await a.broker.publish(channel, "2");
      await has(late.sink, 1);
      expect(late.sink.events).toEqual([]);
    }
  });

  test("an unstored message reaches those who are attached, with all that it carries, and nothing keeps it", async () => {
    const { a, b } = context();
    for (const namespace of ["keep", "live"]) {
      const channel = freshChannel(namespace);
      const [own, other] = [await follow(a, channel), await follow(b, channel)];
      const options = { tags: { k: "ü" }, event: "typing", except: "c-1", id: "once" };
      const kept = await a.broker.publish(channel, "1");
      const published = await a.broker.publish(channel, '{"big":12345678901234567890}', {
        ...{ ...options, skipHistory: true },
      });
      expect(published).toEqual({ epoch: "", offset: 0, duplicate: false });
      const carried = { data: '{"big":12345678901234567890}', offset: 0, tags: { k: "ü" } };
      for (const { sink } of [own, other]) {
        const messages = () =>
          namespace === "live"
            ? sink.publications.filter(({ event }) => event === "typing")
            : sink.events.flatMap((event) => (event.kind === "message" ? [event.publication] : []));
        await until(() => messages().length === 1, { what: "the message" });
        expect(messages()[0]).toMatchObject({ ...carried, event: "typing", except: "c-1" });
      }
      if (namespace === "live") continue;
      const next = await a.broker.publish(channel, "2");
      const page = await b.broker.history(channel, { limit: 10, since: kept });
      expect([page.publications.map(({ data }) => data), page.position.offset]).toEqual([["2"], next.offset]);
      await has(other.sink, 2);
      const [refused] = await Promise.allSettled([
        a.broker.publish(channel, "not JSON", { skipHistory: true }),
      ]);
      expect(refused.status).toBe("rejected");
    }
  });

  test("a version of a document is stored unless the newest message is as new, also in a race", async () => {
    const { a, b } = context();
    const channel = freshChannel("keep");
    const publish = (of: typeof a, number: number, epoch = "") =>
      of.broker.publish(channel, `"${epoch}${number}"`, {
        version: { number, epoch },
        id: `v-${crypto.randomUUID()}`,
      });
    const first = await publish(a, 5);
    expect(first.duplicate).toBe(false);
    expect(await publish(b, 5)).toEqual({ ...first, duplicate: true });
    expect(await publish(b, 4)).toEqual({ ...first, duplicate: true });
    expect((await publish(b, 6)).duplicate).toBe(false);
    expect((await publish(a, 1, "next")).duplicate).toBe(false);
    const raced = await Promise.all(
      numbered(6, 2).map((text, n) => publish(n % 2 ? a : b, Number(text), "next")),
    );
    const { publications } = await a.broker.history(channel, { limit: 100 });
    const numbers = publications.slice(3).map(({ data }) => Number(/\d+/.exec(String(data))![0]));
    expect(numbers).toEqual(numbers.toSorted((one, other) => one - other));
    expect([numbers.at(-1), numbers.length]).toEqual([7, raced.filter((one) => !one.duplicate).length]);
    await a.broker.publish(channel, '"plain"');
    expect((await publish(a, 1, "next")).duplicate).toBe(false);
    const [refused] = await Promise.allSettled([publish(a, 1, "a b")]);
    expect(refused.status).toBe("rejected");
  });

  test("a signal reaches every instance, its sender too, or the one it is for", async () => {
    const { fixture } = context();
    const one = await fixture.instance("signal-one");
    const two = await fixture.instance("signal-two");
    const heard: [who: string, kind: string, body: unknown][] = [];
    const silence = one.broker.onSignal(() => {
      throw new Error("a broken listener");
    });
    const remove = one.broker.onSignal((kind, body) => void heard.push(["one", kind, body]));
    two.broker.onSignal((kind, body) => void heard.push(["two", kind, body]));
    const body = { user: 'ü\r\n"', list: [1, null, true], deep: { a: {} } };
    // Listeners may become known to the others a little later.
    await until(() => {
      one.broker.signal("hello", null);
      return new Set(heard.map(([who]) => who)).size === 2;
    });
    const own = (wanted: string) => heard.filter(([, kind]) => kind === wanted);
    one.broker.signal("kick", body);
    await until(() => own("kick").length === 2);
    expect(new Set(own("kick"))).toEqual(
      new Set([
        ["one", "kick", body],
        ["two", "kick", body],
      ]),
    );
    one.broker.signal("only", body, { instance: "signal-two" });
    one.broker.signal("only", body, { instance: "nobody-there" });
    two.broker.signal("only", 1, { instance: "signal-one" });
    await until(() => own("only").length === 2);
    remove();
    silence();
    two.broker.signal("last", 1);
    await until(() => own("last").length === 1);
    two.broker.signal("end", 1);
    await until(() => own("end").length === 1);
    expect(own("only")).toHaveLength(2);
    expect(own("last")).toEqual([["two", "last", 1]]);
  });

  test("a signal's body is a copy, and a kind that is no word is refused", async () => {
    const { a } = context();
    const heard: unknown[] = [];
    const remove = a.broker.onSignal((kind, body) => (kind === "copied" ? void heard.push(body) : undefined));
    const body = { n: 1 };
    a.broker.signal("copied", body);
    body.n = 2;
    await until(() => heard.length > 0);
    expect(heard).toEqual([{ n: 1 }]);
    for (const kind of ["", "a.b", "*", "a b", "x\r\ny"]) expect(() => a.broker.signal(kind, 1)).toThrow();
    expect(() => a.broker.signal("ok", 1, { instance: "a.b" })).toThrow();
    remove();
  });

  test("a survey collects what listeners return, until enough came or the time is over", async () => {
    const { fixture } = context();
    const [one, two] = [await fixture.instance("survey-one"), await fixture.instance("survey-two")];
    one.broker.onSignal((kind, body) => (kind === "count" ? { one: body } : undefined));
    two.broker.onSignal((kind, body) => (kind === "count" ? { two: body } : undefined));
    two.broker.onSignal(() => {
      throw new Error("a broken listener");
    });
    const both = await until(async () => {
      const answers = await one.broker.survey("count", 7, { expect: 2, timeoutMs: 1_000 });
      return answers.length === 2 ? answers : undefined;
    });
    expect(new Set(both)).toEqual(new Set([{ one: 7 }, { two: 7 }]));

    const to = { instance: "survey-two" };
    expect(await one.broker.survey("count", 8, { to, expect: 1, timeoutMs: 5_000 })).toEqual([{ two: 8 }]);
    expect(await one.broker.survey("count", 9, { expect: 1, timeoutMs: 5_000 })).toHaveLength(1);
    const fewer = await two.broker.survey("count", 1, { expect: 9, timeoutMs: 200 });
    expect(fewer).toHaveLength(2);
    expect(await two.broker.survey("other", 1, { expect: 1, timeoutMs: 100 })).toEqual([]);
    const nobody = { instance: "nobody-there" };
    expect(await two.broker.survey("count", 1, { to: nobody, expect: 1, timeoutMs: 100 })).toEqual([]);
  });

  test("a request is answered by whoever serves that name, on any instance", async () => {
    const { a, b } = context();
    const name = `math.add ${freshChannel().name} *>\r\nü`;
    const seen: unknown[] = [];
    const remove = a.broker.serve("rpc", name, (body, headers) => {
      seen.push([body, headers["Trunkline-User"], headers["X-Other"]]);
      return `{"sum":${JSON.parse(body).reduce((x: number, y: number) => x + y)}}`;
    });
    const removeAuth = a.broker.serve("auth", name, async () => '"auth"');
    const headers = { "Trunkline-User": 'ü "42"', "X-Other": "" };
    const ask = (body: string | Uint8Array) =>
      b.broker.request("rpc", name, body, { headers, timeoutMs: 5_000 });
    const reply = await until(() => ask("[1,2]").catch(() => undefined));
    expect(reply).toEqual({ data: '{"sum":3}' });
    expect(seen).toEqual([["[1,2]", 'ü "42"', ""]]);
    expect(await ask(new TextEncoder().encode("[3,4]"))).toEqual({ data: '{"sum":7}' });
    expect((await b.broker.request("auth", name, "", { timeoutMs: 5_000 })).data).toBe('"auth"');
    const many = await Promise.all(Array.from({ length: 100 }, (_, n) => ask(`[${n},1]`)));
    expect(many.map((one) => one.data)).toEqual(Array.from({ length: 100 }, (_, n) => `{"sum":${n + 1}}`));
    removeAuth();
    remove();
    remove();
    await until(() =>
      ask("[1]").then(
        () => false,
        (error) => error.error === Errors.methodNotFound,
      ),
    );
  });

  test("a request nobody listens to fails at once, an unanswered one at its time", async () => {
    const { a, b } = context();
    const name = freshChannel().name;
    const began = performance.now();
    await failsWith(b.broker.request("rpc", name, "1", { timeoutMs: 20_000 }), Errors.methodNotFound);
    expect(performance.now() - began).toBeLessThan(5_000);
    const remove = a.broker.serve("rpc", name, () => new Promise<string>(() => {}));
    await until(() =>
      b.broker.request("rpc", name, "1", { timeoutMs: 100 }).then(
        () => false,
        (error) => error.error === Errors.timeout,
      ),
    );
    const long = "x".repeat(2 * 1024 * 1024);
    await failsWith(b.broker.request("rpc", name, long, { timeoutMs: 1_000 }), Errors.limitExceeded);
    await failsWith(b.broker.request("rpc", "", "1", { timeoutMs: 1_000 }), Errors.badRequest);
    const headers = { "X-Evil": "a\r\nNats-Service-Error: b" };
    await failsWith(b.broker.request("rpc", name, "1", { headers, timeoutMs: 1_000 }), Errors.badRequest);
    remove();
  });

  test("a handler's error is the answer, and only what is meant for clients is told", async () => {
    const { a, b } = context();
    const name = freshChannel().name;
    a.broker.serve("rpc", name, (body) => {
      if (body === "denied") throw new CommandError(Errors.permissionDenied, "for the log");
      if (body === "broken") throw new Error("the password is 1234");
      return Promise.reject(new CommandError(Errors.expired));
    });
    const ask = (body: string) => b.broker.request("rpc", name, body, { timeoutMs: 5_000 });
    const denied = await until(() => ask("denied").catch(() => undefined));
    const { code, message } = Errors.permissionDenied;
    expect(denied.error).toEqual({ code, message });
    const broken = await ask("broken");
    expect(broken.error).toBeDefined();
    expect(JSON.stringify(broken)).not.toContain("1234");
    expect((await ask("rejected")).error?.code).toBe(Errors.expired.code);
  });

  test("events are recorded in order, one with an id once", async () => {
    const { a, b, fixture } = context();
    const kind = `test-${freshChannel()
      .name.replaceAll(/[^a-z0-9]/g, "")
      .slice(0, 20)}`;
    for (let n = 0; n < 20; n++) a.broker.emit(kind, { n, text: "ü\r\n" });
    a.broker.emit(kind, { n: 20 }, `${kind}-id`);
    const events = await until(async () => {
      const all = await fixture.events(kind);
      return all.length >= 21 ? all : undefined;
    });
    expect(events.map((event) => event.n)).toEqual(Array.from({ length: 21 }, (_, n) => n));
    expect(events[0]!.text).toBe("ü\r\n");
    b.broker.emit(kind, { n: 20 }, `${kind}-id`);
    a.broker.emit(kind, { n: 20 }, `${kind}-id`);
    b.broker.emit(kind, { n: 21 });
    a.broker.emit(kind, { n: 21 });
    await until(async () => (await fixture.events(kind)).length >= 23);
    expect((await fixture.events(kind)).filter((event) => event.n === 20)).toHaveLength(1);
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    a.broker.emit(kind, circular);
    a.broker.emit("no such.kind\r\n", {});
  });

  test(
    "status says connected; close ends it once and for all",
    async () => {
      const { a, fixture } = context();
      const { broker } = await fixture.instance("closing");
      expect(broker.status().state).toBe("connected");
      expect(["memory", "nats"]).toContain(broker.driver);
      const channel = freshChannel();
      const sink = new Recorder();
      const attachment = await broker.attach(channel, sink);
      const other = await follow(a, channel);
      const states: BrokerStatus["state"][] = [];
      broker.onStatus(({ state }) => states.push(state));
      const ignored: BrokerStatus[] = [];
      broker.onStatus((status) => ignored.push(status))();
      broker.onStatus(() => {
        throw new Error("a broken listener");
      });
      const signals: unknown[] = [];
      broker.onSignal((kind) => void signals.push(kind));
      broker.serve("rpc", channel.name, () => "1");

      await Promise.all([broker.close(), broker.close()]);
      await broker.close();
      expect(broker.status().state).toBe("closed");
      expect(states).toEqual(["closed"]);
      expect(ignored).toEqual([]);
      await publishAll(a, channel, ["1", "2"]);
      a.broker.signal("late", 1, { instance: "closing" });
      await has(other.sink, 2);
      expect(sink.publications).toEqual([]);
      expect(signals).toEqual([]);
      attachment.detach();
      await failsWith(broker.publish(channel, "1"), Errors.brokerUnavailable);
      await failsWith(broker.attach(channel, sink), Errors.brokerUnavailable);
      await failsWith(broker.history(channel, { limit: 1 }), Errors.brokerUnavailable);
      await failsWith(broker.request("rpc", "x", "1", { timeoutMs: 100 }), Errors.brokerUnavailable);
      broker.sendEvent(channel, { kind: "join", info: { client: "c", user: "u" } });
      broker.signal("late", 1);
      broker.emit("late", {});
      expect(await broker.survey("late", 1, { expect: 1, timeoutMs: 50 })).toEqual([]);
      await failsWith(
        a.broker.request("rpc", channel.name, "1", { timeoutMs: 1_000 }),
        Errors.methodNotFound,
      );
    },
    TEST_MS,
  );

  test("close lets what was published before it be stored", async () => {
    const { a, fixture } = context();
    const { broker } = await fixture.instance();
    const channel = freshChannel();
    const publishes = Array.from({ length: 50 }, (_, n) => broker.publish(channel, String(n)));
    await broker.close();
    await Promise.all(publishes);
    const { publications } = await a.broker.history(channel, { limit: 100 });
    expect(publications.map((one) => one.data)).toEqual(Array.from({ length: 50 }, (_, n) => String(n)));
  });

  test("a new instance hears what is published from its start on, and reads what was before", async () => {
    const { a, fixture } = context();
    const channel = freshChannel();
    await a.broker.publish(channel, '"before"');
    const late = await fixture.instance();
    const { sink, start } = await follow(late, channel);
    await a.broker.publish(channel, '"after"');
    await has(sink, 1);
    expect(sink.data).toEqual(['"after"']);
    const { publications, position } = await late.broker.history(channel, { limit: 10 });
    expect(publications.map((one) => one.data)).toEqual(['"before"', '"after"']);
    expect(publications[0]!.offset).toBe(start);
    expect(position).toEqual((await a.broker.history(channel, { limit: 0 })).position);
  });
}
