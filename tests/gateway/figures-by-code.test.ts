import { expect, test } from "bun:test";
import { Histograms } from "../../src/core/histogram.ts";
import { Stats } from "../../src/core/stats.ts";
import { startGateway } from "./fixture.ts";
import { settled } from "./time.ts";

/** How often each pair of labels was observed. */
const counts = (all: Histograms) =>
  Object.fromEntries([...all.entries()].map(([labels, { count }]) => [labels.join(" ").trim(), count]));

test("commands are timed by method, namespace and code, whether they waited or not", async () => {
  await using gateway = await startGateway({ namespaces: { quiet: { subscribe: "nobody" } } });
  const { stats } = gateway;
  const ann = await gateway.connect("ann");
  for (const channel of ["chat:a", "chat:b", "quiet:x", "nowhere:x", "bad\ud800"]) {
    await ann.ask({ subscribe: { channel } });
  }
  await ann.ask({ publish: { channel: "chat:a", data: 1 } });
  await ann.ask({ publish: { channel: "quiet:a", data: 1 } });
  await ann.ask({ unsubscribe: { channel: "chat:b" } });
  await settled();
  expect(counts(stats.commandLatency)).toMatchObject({
    "connect ok": 1,
    "subscribe ok": 2,
    "subscribe 103": 1,
    "subscribe 102": 1,
    "unsubscribe ok": 1,
    "publish ok": 1,
    "publish 103": 1,
  });
  expect(counts(stats.subscribeLatency)).toMatchObject({ "chat ok": 2, "quiet 103": 1, "other 102": 1 });
  expect(stats.subscriptions.get("chat")).toBe(1);
  expect(stats.connectsBy).toEqual(new Map([["websocket centrifuge-json", 1]]));
  ann.socket.end(1_006, "");
  expect([stats.subscriptions.get("chat"), stats.closeCodes.get("1006")]).toEqual([0, 1]);
});

test("what a Pusher client is refused is counted by code, and no event of its own is a label", async () => {
  await using gateway = await startGateway();
  const { stats } = gateway;
  const client = gateway.pusher();
  client.say("pusher:subscribe", { channel: "private-a", auth: "no-colon" });
  client.say("pusher:signin", { auth: "k:x", user_data: "{}" });
  client.say("client-anything-at-all", {}, "private-a");
  client.say("of-its-own", {});
  await settled();
  expect(stats.errorCodes).toEqual(new Map(["AuthError", "4009", "4301", "4303"].map((code) => [code, 1])));
  expect(counts(stats.commandLatency)).toEqual({
    "pusher:subscribe AuthError": 1,
    "pusher:signin 4009": 1,
    "client_event 4301": 1,
    "unknown 4303": 1,
  });
  expect(counts(stats.subscribeLatency)).toEqual({ [`${gateway.pusherApp.namespace} AuthError`]: 1 });
});

test("labels from elsewhere fill no memory", () => {
  const all = new Histograms();
  for (let n = 0; n < 5_000; n++) all.observeMs(1, `name-${n}`, "ok");
  expect([...all.entries()].length).toBeLessThan(300);
  expect(all.total().count).toBe(5_000);
  const stats = new Stats();
  for (let code = 0; code < 5_000; code++) stats.publishFailed("chat", code, 1);
  expect(stats.publishErrorsBy.size).toBeLessThan(20);
  expect(stats.publishErrors).toBe(5_000);
});
