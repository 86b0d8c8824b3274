import { expect, test } from "bun:test";
import type { PublishOptions } from "../../src/broker/broker.ts";
import { channelId, parseChannel } from "../../src/core/channel.ts";
import { Errors } from "../../src/core/errors.ts";
import type { Publication } from "../../src/core/publication.ts";
import { encodeTail } from "../../src/core/subject.ts";
import { until } from "../helpers/until.ts";
import { type Context, failsWith, follow, freshChannel, has, settle } from "./broker-context.ts";

/** What may be published and what arrives: law 5, headers, names. */
export function bodiesContract(context: () => Context): void {
  test("a service's broken bodies are left out, counted and reported, and break nothing", async () => {
    const { a, b, fixture } = context();
    for (const namespace of ["keep", "live"]) {
      const channel = freshChannel(namespace);
      const subject = `rt.${namespace}.${channel.name}`;
      const { sink, attachment } = await follow(a, channel);
      const start = attachment.position;
      const counted = a.stats.bodiesRejected;
      const tooLong = namespace === "keep" ? 2_001 : 65_537;
      const broken = [
        '{"broken":',
        "",
        `"${"x".repeat(tooLong - 2)}"`,
        new Uint8Array([0x22, 0xff, 0xfe, 0x22]),
        `${"[".repeat(101)}${"]".repeat(101)}`,
        '"\\ud800"',
      ];
      await fixture.raw(subject, '"before"');
      for (const body of broken) await fixture.raw(subject, body);
      await fixture.raw(subject, '"after"');
      await has(sink, 2);
      expect(sink.data).toEqual(['"before"', '"after"']);
      expect(sink.losses).toEqual([]);
      const reported = await until(
        async () => {
          const own = (await fixture.events("rejected")).filter((event) => event.channel === channel.id);
          return own.length >= broken.length ? own : undefined;
        },
        { what: "rejected events" },
      );
      expect(reported.map((event) => event.reason)).toEqual([
        "not JSON",
        "not JSON",
        "too long",
        "not UTF-8",
        "nested too deep",
        "lone surrogate",
      ]);
      expect(a.stats.bodiesRejected).toBeGreaterThanOrEqual(counted + broken.length);
      if (namespace === "live") continue;

      const page = await b.broker.history(channel, { since: start, limit: 100 });
      expect(page.publications.map((one) => one.data)).toEqual(['"before"', '"after"']);
      expect(page).toMatchObject({ complete: true, more: false });
      const newest = await b.broker.history(channel, { limit: 2, reverse: true });
      expect(newest.publications.map((one) => one.data)).toEqual(['"after"', '"before"']);
    }
  });

  test("a broken body at the end is no hole either", async () => {
    const { a, b, fixture } = context();
    const channel = freshChannel();
    const watching = await follow(a, channel);
    const { epoch, offset } = await a.broker.publish(channel, '"good"');
    await fixture.raw(`rt.keep.${channel.name}`, "broken");
    const page = await b.broker.history(channel, { since: { epoch, offset }, limit: 10 });
    expect(page).toMatchObject({ publications: [], complete: true, more: false });
    expect(page.position.offset).toBeGreaterThan(offset);
    const late = await follow(b, channel);
    await a.broker.publish(channel, '"later"');
    await has(late.sink, 1);
    await has(watching.sink, 2);
    expect(watching.sink.data).toEqual(['"good"', '"later"']);
    expect([...watching.sink.losses, ...late.sink.losses]).toEqual([]);
  });

  test("what publish does not accept is refused with the reason, and nobody gets it", async () => {
    const { a } = context();
    const channel = freshChannel();
    const { sink } = await follow(a, channel);
    const { broker } = a;
    await failsWith(broker.publish(channel, "{"), Errors.badRequest);
    await failsWith(broker.publish(channel, ""), Errors.badRequest);
    await failsWith(broker.publish(channel, '"\ud800"'), Errors.badRequest);
    await failsWith(broker.publish(channel, new Uint8Array([0xff])), Errors.badRequest);
    await failsWith(broker.publish(channel, `"${"x".repeat(1_999)}"`), Errors.limitExceeded);
    await failsWith(broker.publish(channel, `"${"é".repeat(1_000)}"`), Errors.limitExceeded);
    await settle(a, channel, sink);
    expect(sink.data).toEqual([]);
    await broker.publish(channel, `"${"é".repeat(999)}"`);
    await has(sink, 1);
  });

  test("JSON arrives as it was written, on one line", async () => {
    const { a, b, fixture } = context();
    const channel = freshChannel();
    const { sink } = await follow(b, channel);
    const odd = '{"big":12345678901234567890,"one":1.0,"a":"\\n","b":1,"a":2,"ü":"\u2028😀"}';
    await a.broker.publish(channel, odd);
    await a.broker.publish(channel, '{\r\n  "a": [\n1\n]\r}');
    await a.broker.publish(channel, new TextEncoder().encode("[1]"));
    await fixture.raw(`rt.keep.${channel.name}`, '\n{"a":\r\n1}\n');
    await has(sink, 4);
    expect(sink.data).toEqual([odd, '{    "a": [ 1 ] }', "[1]", ' {"a":  1} ']);
    const { publications } = await a.broker.history(channel, { limit: 10 });
    expect(publications.map((one) => one.data)).toEqual(sink.data as string[]);
  });

  test("a binary namespace carries bytes beside JSON", async () => {
    const { a, b, fixture } = context();
    const channel = freshChannel("bytes");
    const subject = `rt.bytes.${channel.name}`;
    const { sink } = await follow(b, channel);
    const bytes = new Uint8Array([0, 255, 13, 10, 34]);
    const own = bytes.slice();
    await a.broker.publish(channel, own);
    own.fill(7);
    await a.broker.publish(channel, '{"json":true}');
    await fixture.raw(subject, bytes, { "Content-Type": "application/x-thing" });
    await fixture.raw(subject, "[1]");
    await fixture.raw(subject, "[2]", { "Content-Type": "application/json; charset=utf-8" });
    await fixture.raw(subject, bytes);
    await fixture.raw(subject, bytes, { "Content-Type": "application/json" });
    await settle(a, channel, sink);
    const expected = [bytes, '{"json":true}', bytes, "[1]", "[2]"];
    expect(sink.data.map((one) => (typeof one === "string" ? one : [...(one as Uint8Array)]))).toEqual(
      expected.map((one) => (typeof one === "string" ? one : [...one])),
    );
    const { publications } = await a.broker.history(channel, { limit: 5 });
    expect(publications.map((one) => one.data)).toEqual(expected);
  });

  test("options of a publish reach every instance, live and from history", async () => {
    const { a, b } = context();
    const options: PublishOptions = {
      event: "client-event ü",
      tags: { colour: "blue", "x-Y_z": 'a "quoted" ü', empty: "" },
      priority: "low",
      except: "socket.1",
      info: {
        client: "c-1",
        user: 'ü"\\ser\r\n',
        connInfo: '{"big":12345678901234567890,"one":1.0}',
        chanInfo: '[\n"x"\r\n]',
      },
    };
    const check = (publication: Publication) => {
      const { chanInfo, ...info } = publication.info!;
      expect({ ...publication, info }).toMatchObject({ data: "1", ...options, info });
      expect({ ...info, chanInfo: undefined }).toEqual({ ...options.info!, chanInfo: undefined });
      expect(chanInfo).not.toMatch(/[\r\n]/);
      expect(chanInfo!.replaceAll(" ", "")).toBe('["x"]');
    };
    for (const namespace of ["keep", "live"]) {
      const channel = freshChannel(namespace);
      const { sink } = await follow(b, channel);
      await a.broker.publish(channel, "1", options);
      await a.broker.publish(channel, "2");
      await has(sink, 2);
      check(sink.publications[0]!);
      for (const key of Object.keys(options)) expect(sink.publications[1]).not.toHaveProperty(key);
      if (namespace === "live") continue;
      const { publications } = await a.broker.history(channel, { limit: 1 });
      check(publications[0]!);
    }
  });

  test("a service's headers say the same", async () => {
    const { a, fixture } = context();
    const channel = freshChannel();
    const { sink } = await follow(a, channel);
    await fixture.raw(`rt.keep.${channel.name}`, "1", {
      "Trunkline-Event": "made",
      "Trunkline-Tag-colour": "blue",
      "Trunkline-Priority": "high",
      "Trunkline-Except": "socket.1",
      "Unrelated-Header": "x",
    });
    await fixture.raw(`rt.keep.${channel.name}`, "2", { "Trunkline-Priority": "urgent" });
    await has(sink, 2);
    expect(sink.publications[0]).toMatchObject({
      data: "1",
      event: "made",
      tags: { colour: "blue" },
      priority: "high",
      except: "socket.1",
    });
    expect(sink.publications[1]!.priority).toBeUndefined();
  });

  test("options that could break a header are refused", async () => {
    const { a } = context();
    const channel = freshChannel();
    const { sink } = await follow(a, channel);
    const bad: PublishOptions[] = [
      { id: "" },
      { id: "with space" },
      { id: "x".repeat(129) },
      { id: "a\r\nNats-Expected-Stream: x" },
      { event: "a\r\nb" },
      { event: "x".repeat(201) },
      { except: "a\nb" },
      { tags: { "na me": "x" } },
      { tags: { "a:b": "x" } },
      { tags: { a: "x\r\nNats-Rollup: all" } },
      { tags: { a: "x\0y" } },
    ];
    for (const options of bad) await failsWith(a.broker.publish(channel, "1", options), Errors.badRequest);
    await settle(a, channel, sink);
    expect(sink.data).toEqual([]);
  });

  test("any name is a channel of its own, and none reaches further than its own subject", async () => {
    const { a, b } = context();
    const base = freshChannel().name;
    const victim = await follow(b, parseChannel(`keep:${base}.victim`));
    const names = [
      `${base} x`,
      `${base}.*`,
      `${base}.>`,
      "*",
      ">",
      `${base}.*.*`,
      `${base}%2A`,
      `${base}%`,
      `${base}..x`,
      `.${base}`,
      `${base}.`,
      `...${base}...`,
      `${base}\r\nPUB rt.keep.${base}.victim 3\r\n"x"`,
      `${base}\tx`,
      `${base}\0x`,
      `${base}\u0085x`,
      `${base}\u00a0x`,
      `${base}:a:b`,
      `${base}.ünïcödé.😀`,
      `${base}$JS.API.>`,
      `${base}${"*".repeat(200)}`,
    ];
    const lives = await Promise.all(names.map((name) => follow(b, parseChannel(channelId("keep", name)))));
    for (const name of names) {
      await a.broker.publish(parseChannel(channelId("keep", name)), JSON.stringify(name));
    }
    for (const [index, { sink, start }] of lives.entries()) {
      await has(sink, 1);
      const name = names[index]!;
      expect(sink.data).toEqual([JSON.stringify(name)]);
      const page = await a.broker.history(parseChannel(channelId("keep", name)), {
        since: { epoch: "", offset: start },
        limit: 10,
      });
      expect(page.publications.map((one) => one.data)).toEqual([JSON.stringify(name)]);
    }
    await settle(a, parseChannel(`keep:${base}.victim`), victim.sink);
    expect(victim.sink.data).toEqual([]);
    const stored = await a.broker.storedChannels("keep", 10_000);
    expect(stored).toEqual(expect.arrayContaining(names.map((name) => channelId("keep", name))));
  });

  test("a service's subject is read back strictly: another spelling of a name is not that channel", async () => {
    const { a, b, fixture } = context();
    const { name: base } = freshChannel("few");
    const channel = parseChannel(`few:${base} x`);
    const { sink } = await follow(b, channel);
    await fixture.raw(`rt.few.${encodeTail(channel.name)}`, '"canonical"');
    await fixture.raw(`rt.few.${base}%20%78`, '"also x"');
    await has(sink, 1);
    await settle(a, channel, sink);
    expect(sink.data).toEqual(['"canonical"']);
    const stored = await a.broker.storedChannels("few", 10_000);
    expect(stored.filter((id) => id.includes(base))).toEqual([channel.id]);
  });

  test("an attachment never hears of other channels, whatever their names begin with", async () => {
    const { a, b } = context();
    const channel = freshChannel();
    const { sink } = await follow(b, channel);
    const strangers = [`${channel.id}.x`, `${channel.id}x`, channel.name, `few:${channel.name}`];
    for (const id of strangers) await a.broker.publish(parseChannel(id), "1");
    await settle(a, channel, sink);
    expect(sink.publications).toEqual([]);
  });
}
