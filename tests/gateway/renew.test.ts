import { describe, expect, test } from "bun:test";
import type { Asker, Callouts, Renewal, SubRefreshQuestion } from "../../src/auth/auth.ts";
import { Closes, CommandError, ConnectionError, Errors, Unsubscribes } from "../../src/core/errors.ts";
import { arriving, SOUND } from "../helpers/doors/documents.ts";
import { asking, HttpBackend } from "../helpers/http-backend.ts";
import { token } from "./auth.ts";
import { startGateway } from "./fixture.ts";
import { eventually, settled, stoppedClock } from "./time.ts";

const inSeconds = (seconds: number) => Math.floor(Date.now() / 1_000) + seconds;

/** Without pings, which nobody here answers. */
const REFRESH = { refreshCallout: "backend", pingIntervalMs: 600_000 };
/** Subscriptions whose expiry is a service's to move. */
const NAMESPACES = {
  asked: {
    ...({ subscribeCallout: "backend", subRefreshCallout: "backend", publish: "subscriber" } as const),
    ...({ presence: true, presenceAccess: "subscriber" } as const),
  },
};

describe("a connection whose expiry is a service's to move", () => {
  const connected = async (refresh: Callouts["refresh"]) => {
    const gateway = await startGateway({ options: REFRESH, callouts: { refresh } });
    const ann = await gateway.connect("ann", { expiresAt: inSeconds(5), meta: '{"m":1.0}', info: '"old"' });
    return { gateway, ann, [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose]() };
  };

  test("is asked about when it expires, and the client is not told of it", async () => {
    using clock = stoppedClock();
    const asked: Asker[] = [];
    await using world = await connected(async (question) => {
      asked.push(question);
      return { expired: false, expiresAt: inSeconds(20), info: '"new"' };
    });
    expect(world.ann.answer.expires).toBeUndefined();
    await clock.advance(4_000);
    expect(asked).toEqual([]);
    await clock.advance(2_000);
    expect(asked).toMatchObject([
      {
        client: world.ann.id,
        user: "ann",
        protocol: "centrifuge-json",
        transport: "websocket",
        meta: '{"m":1.0}',
      },
    ]);
    await world.ann.subscribe("live:x");
    await world.ann.ask({ publish: { channel: "live:x", data: 1 } });
    expect(world.ann.pushes("pub")).toMatchObject([{ info: { conn_info: "new" } }]);
    await clock.advance(25_000);
    expect(asked.length).toBe(2);
    expect(world.ann.socket.closed).toBeUndefined();
  });

  test.each<[string, Renewal | Error, number]>([
    ["it is over", { expired: true }, Closes.connectionExpired.code],
    ["an error", new CommandError({ code: 1000, message: "no" }), Closes.connectionExpired.code],
    ["a disconnect", new ConnectionError({ code: 4501, reason: "banned" }), 4501],
  ])("ends when the service says: %s", async (_, answer, code) => {
    using clock = stoppedClock();
    await using world = await connected(async () => {
      if (answer instanceof Error) throw answer;
      return answer;
    });
    await clock.advance(6_000);
    expect(world.ann.socket.closed?.code).toBe(code);
  });

  test("lives on while the service does not answer, and is asked about again", async () => {
    using clock = stoppedClock();
    let asked = 0;
    await using world = await connected(async () => {
      if (++asked < 3) throw new CommandError(Errors.internal);
      return { expired: true };
    });
    await clock.advance(6_000);
    expect(asked).toBe(1);
    await clock.advance(25_000);
    expect([asked, world.ann.socket.closed]).toEqual([1, undefined]);
    await clock.advance(120_000);
    expect([asked, world.ann.socket.closed?.code]).toEqual([3, Closes.connectionExpired.code]);
  });

  test("keeps what somebody else said meanwhile", async () => {
    using clock = stoppedClock();
    const gate = Promise.withResolvers<Renewal>();
    await using world = await connected(() => gate.promise);
    await clock.advance(6_000);
    await world.ann.ask({ refresh: { token: token({ user: "ann", expiresAt: inSeconds(500) }) } });
    gate.resolve({ expired: true });
    await clock.advance(1_000);
    expect(world.ann.socket.closed).toBeUndefined();
  });

  test("and one that never expires are never asked about", async () => {
    using clock = stoppedClock();
    let asked = 0;
    const refresh = async (): Promise<Renewal> => ({ expired: asked++ > 0 });
    await using gateway = await startGateway({ options: REFRESH, callouts: { refresh } });
    const client = gateway.centrifuge({ transport: "uni_sse" });
    client.socket.data.message(client.socket, "");
    await clock.advance(60_000);
    expect([asked, client.socket.closed]).toEqual([0, undefined]);
  });
});

describe("a subscription whose expiry is a service's to move", () => {
  const subscribed = async (subRefresh: Callouts["subRefresh"]) => {
    const subscribe = async () => ({ expiresAt: inSeconds(5), info: '"old"' });
    const gateway = await startGateway({ namespaces: NAMESPACES, callouts: { subscribe, subRefresh } });
    const ann = await gateway.connect("ann");
    const answer = await ann.subscribe("asked:x");
    return { gateway, ann, answer, [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose]() };
  };

  test("is asked about when it expires, and the client is not told of it", async () => {
    using clock = stoppedClock();
    const asked: SubRefreshQuestion[] = [];
    await using world = await subscribed(async (question) => {
      asked.push(question);
      return { expired: false, info: '"new"' };
    });
    expect(world.answer.expires).toBeUndefined();
    await clock.advance(6_000);
    expect(asked).toMatchObject([{ client: world.ann.id, user: "ann", channel: "asked:x" }]);
    await world.ann.ask({ publish: { channel: "asked:x", data: 1 } });
    expect(world.ann.pushes("pub")).toMatchObject([{ info: { chan_info: "new" } }]);
    // Without a date it never expires again.
    await clock.advance(15_000);
    expect(asked).toHaveLength(1);
    expect(world.ann.pushes("unsubscribe")).toEqual([]);
  });

  test.each<[string, Renewal | Error]>([
    ["it is over", { expired: true }],
    ["an error", new CommandError({ code: 1000, message: "no" })],
  ])("ends when the service says: %s", async (_, answer) => {
    using clock = stoppedClock();
    await using world = await subscribed(async () => {
      if (answer instanceof Error) throw answer;
      return answer;
    });
    await clock.advance(6_000);
    expect(world.ann.pushes("unsubscribe", "asked:x")).toMatchObject([{ code: Unsubscribes.expired.code }]);
    expect(world.ann.socket.closed).toBeUndefined();
  });

  test("may end the connection, and is left alone when it has gone meanwhile", async () => {
    using clock = stoppedClock();
    await using banned = await subscribed(() =>
      Promise.reject(new ConnectionError({ code: 4501, reason: "" })),
    );
    const gate = Promise.withResolvers<Renewal>();
    await using gone = await subscribed(() => gate.promise);
    await clock.advance(6_000);
    expect(banned.ann.socket.closed?.code).toBe(4501);
    await gone.ann.ask({ unsubscribe: { channel: "asked:x" } });
    await gone.ann.subscribe("asked:x");
    gate.resolve({ expired: true });
    await clock.advance(1_000);
    expect(gone.ann.pushes("unsubscribe")).toEqual([]);
  });

  test("lives on while the service does not answer", async () => {
    using clock = stoppedClock();
    let asked = 0;
    await using world = await subscribed(() => {
      asked++;
      return Promise.reject(new CommandError(Errors.timeout));
    });
    await clock.advance(15_000);
    expect([asked, world.ann.pushes("unsubscribe")]).toEqual([1, []]);
  });
});

test.each(Object.entries(SOUND))(
  "what a backend renews with is shown as it came: %s",
  async (_, document) => {
    await using backend = new HttpBackend(() => `{"result":{"expire_at":9999999999,"info":${document}}}`);
    const { callouts, stats } = asking(backend.url, { meta: true });
    await using gateway = await startGateway({
      ...{ options: { ...REFRESH, expiryGraceMs: 0 }, services: () => callouts },
      namespaces: { asked: { ...NAMESPACES.asked, subscribeCallout: false } },
    });
    // What has expired already is asked about at once.
    const expired = { expiresAt: 1, meta: arriving(document) };
    const ann = await gateway.connect("ann", expired);
    const grant = token({ user: "ann", channel: "asked:x", expiresAt: 1 });
    await ann.subscribe("asked:x", { token: grant });
    await eventually(() => backend.asked.length === 2);
    for (const { body } of backend.asked) expect(body).toContain(`"meta":${arriving(document)}}`);
    await eventually(() => stats.calloutsUnderWay === 0);
    await settled();
    await ann.ask({ publish: { channel: "asked:x", data: 1 } });
    const sent = ann.socket.frames.join("\n");
    expect(sent).toContain(`"conn_info":${arriving(document)}`);
    expect(sent).toContain(`"chan_info":${arriving(document)}`);
  },
);
