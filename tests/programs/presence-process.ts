// A process of its own, on Bun or Deno, that is one instance with one connection: for tests that kill or stop it.
// Arguments: link (`resp` or `rest`), URL, token, instance, lease ms, renewal ms, time-out ms. Writes its state to
// stdout, a line at each change.
import process from "node:process";
import { silent } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import { respLink } from "../../src/presence/redis/link-resp.ts";
import { upstashLink } from "../../src/presence/redis/link-upstash.ts";
import { redisPresence } from "../../src/presence/redis/redis.ts";

const [kind, url, token, instance, leaseTtlMs, renewMs, timeoutMs] = process.argv.slice(2) as [
  ...[string, string, string, string, string, string, string],
];

const presence = redisPresence({
  link: kind === "resp" ? respLink({ url }) : upstashLink({ url, token }),
  ...{
    instance,
    region: "eu",
    log: silent,
    stats: new Stats(),
    load: () => ({ connections: 1, capacity: 100 }),
  },
  ...{ leaseTtlMs: Number(leaseTtlMs), renewMs: Number(renewMs), timeoutMs: Number(timeoutMs) },
});
presence.onStatus((state) => console.log(state));
await presence.start();
const client = `${instance}-client`;
await presence.connected({
  ...{ client, user: "child", device: "d", region: "eu", instance, ip: "192.0.2.9", sinceMs: 1 },
});
await presence.join("chat:x", { client, user: "child" });
console.log("joined");
