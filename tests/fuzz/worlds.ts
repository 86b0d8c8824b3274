import { silent } from "../../src/core/log.ts";
import type { ClientInfo } from "../../src/core/publication.ts";
import { Stats } from "../../src/core/stats.ts";
import { onSignal } from "../../src/gateway/control.ts";
import { serverApi } from "../../src/http/api.ts";
import { pusherApi } from "../../src/http/pusher/api.ts";
import { type Reply, ReplyError } from "../../src/presence/redis/link.ts";
import { redisPresence } from "../../src/presence/redis/redis.ts";
import { APPLY, GUARD, KEEP, LEASE, UNLEASE, WATCH } from "../../src/presence/redis/scripts.ts";
import { PusherApps } from "../../src/pusher/apps.ts";
import { startGateway } from "../gateway/fixture.ts";
import { pusherRequest } from "../helpers/doors/world.ts";
import { type Below, corpus, mutated, mutatedValue } from "./inputs.ts";

const latin1 = new TextDecoder("latin1");
const text = (bytes: Uint8Array) => latin1.decode(bytes);

/** Something that lives, and is given one input after the other. @throws Error what is wrong */
export interface World extends AsyncDisposable {
  readonly name: string;
  /** How many steps came where a world seldom lets one; undefined: all do. */
  readonly deep?: number;
  /** @param report is given the input, to be shown if something is wrong */
  step(next: Below, report: (input: string) => void): Promise<void>;
}

/** The APIs of a gateway. */
export async function httpWorld(): Promise<World> {
  const gateway = await startGateway();
  const deps = {
    ...{ operations: gateway.gateway.operations, stats: new Stats() },
    ...{ maxRequestBytes: 65_536, log: silent, version: "0" },
  };
  const api = serverApi({ ...deps, keys: ["key"] });
  const { appQuotas } = gateway;
  const pusher = pusherApi({ ...deps, appQuotas, apps: new PusherApps([gateway.pusherApp]) });
  return {
    name: "HTTP requests",
    async step(next, report) {
      const input = text(mutated(next, "http"));
      report(input);
      const [head = "", ...rest] = input.split("\n\n");
      const [line = "", ...fields] = head.split("\n");
      const [method = "", path = ""] = line.split(" ");
      const body = rest.join("\n\n");
      let request: Request;
      let app = api;
      try {
        const headers = fields.flatMap((field) => {
          const [name = "", ...value] = field.split(": ");
          return name === "" ? [] : [[name, value.join(": ")] as [string, string]];
        });
        const has = method !== "GET" && method !== "HEAD";
        const isPushers = path.startsWith("/apps");
        if (isPushers) app = pusher;
        const signed = pusherRequest(
          "http://host",
          path.replace(/^\/apps|\?.*$/g, ""),
          has ? body : undefined,
        );
        const url =
          isPushers && next(2) === 0 ? signed.url : `http://host${path.replace(/^\/(api|apps)/, "")}`;
        request = new Request(url, { method, headers, ...(has && { body }) });
      } catch {
        return; // no request
      }
      const response = await app.fetch(request);
      const answer = await response.text();
      if (response.status >= 500) throw new Error(`status ${response.status}: ${answer}`);
      if (response.headers.get("content-type")?.startsWith("application/json")) {
        for (const one of answer.split("\n").filter(Boolean)) JSON.parse(one);
      }
    },
    [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose](),
  };
}

/** Control signals to a gateway with clients of all kinds, who must get nothing they cannot read. */
export async function signalWorld(): Promise<World> {
  const gateway = await startGateway();
  const clients = new Map<string, Awaited<ReturnType<typeof gateway.connect>>>();
  let read = 0;
  return {
    name: "control signals",
    async step(next, report) {
      for (const protocol of ["centrifuge-json", "centrifuge-protobuf"] as const) {
        if (clients.get(protocol)?.socket.closed === undefined && clients.has(protocol)) continue;
        clients.set(protocol, await gateway.connect("ann", {}, { protocol }));
        read = 0;
      }
      const all = corpus("signals");
      const [, kind = "", body = ""] = /^(\S*) (.*)$/s.exec(text(all[next(all.length)]!)) ?? [];
      const changed = mutatedValue(next, JSON.parse(body));
      report(`${kind} ${JSON.stringify(changed)}`);
      const answer = onSignal(gateway.gateway.context, kind, changed);
      await answer;
      await Promise.resolve();
      const { frames } = clients.get("centrifuge-json")!.socket;
      for (; read < frames.length; read++) {
        for (const line of String(frames[read]).split("\n")) JSON.parse(line);
      }
      void clients.get("centrifuge-protobuf")!.messages.length;
      if (frames.length > 1_000) clients.get("centrifuge-json")!.socket.end(1000, "");
    },
    [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose](),
  };
}

/** Presence in a Redis that answers anything. */
export async function redisWorld(): Promise<World> {
  let next: Below = () => 0;
  let told = (_: string) => {};
  const link = {
    async send(commands: readonly (readonly unknown[])[]): Promise<Reply[]> {
      const replies = commands.map((command) => replyOf(next, command));
      told(JSON.stringify(replies));
      return replies;
    },
    reset() {},
    close() {},
  };
  const make = () =>
    redisPresence({
      ...{ link, instance: "a", region: "eu", log: silent, stats: new Stats() },
      ...{ leaseTtlMs: 40, renewMs: 4, timeoutMs: 100, load: () => ({ connections: 0, capacity: 1 }) },
    });
  let presence = make();
  await presence.start();
  let [steps, whole] = [0, 0];
  const record = (n: number) => ({
    ...{ client: `c${n}`, user: "ann", device: "", region: "eu", instance: n % 2 ? "a" : "b" },
    ...{ ip: "192.0.2.1", sinceMs: 1 },
  });
  return {
    name: "contents of Redis",
    get deep() {
      return whole;
    },
    async step(below, report) {
      next = below;
      const seen: string[] = [];
      told = (replies) => {
        seen.push(replies);
        if (seen.length > 20) seen.shift();
        report(seen.join("\n"));
      };
      if (steps++ % 50 === 0 || presence.status().state !== "ok") {
        await presence.close();
        presence = make();
        presence.onSwept(() => {});
        await presence.start();
      }
      const n = below(8);
      await presence.connected(record(n));
      await presence.claim(record(n), { limit: 2, ignore: [record(3)] });
      await presence.join("chat:x", { client: `c${n}`, user: "ann" });
      const { members } = await presence.members("chat:x", 100);
      if (presence.status().state === "ok") whole++;
      for (const member of members) isClean(member);
      const { clients, users } = await presence.stats("chat:x");
      for (const count of [clients, users]) {
        if (!Number.isSafeInteger(count) || count < 0) throw new Error(`a count of ${count}`);
      }
      for (const { user, sinceMs } of (await presence.connectionsOf("ann")).connections) {
        if (user !== "ann" || !Number.isSafeInteger(sinceMs)) throw new Error("a bad connection");
      }
      for (const { connections, capacity } of (await presence.instances()).instances) {
        if (!Number.isSafeInteger(connections) || !Number.isSafeInteger(capacity))
          throw new Error("a bad instance");
      }
      for (const { user } of await presence.forget([record(n), record(n + 1)])) {
        if (typeof user !== "string") throw new Error("a bad user");
      }
      const cursor = await presence.loadCursor("ann", "");
      if (cursor && !Number.isSafeInteger(cursor.offset)) throw new Error("a bad cursor");
      await presence.leave("chat:x", `c${n}`);
      await presence.disconnected(`c${n}`);
    },
    [Symbol.asyncDispose]: () => presence.close(),
  };
}

function isClean({ client, user, connInfo, chanInfo }: ClientInfo): void {
  if (typeof client !== "string" || typeof user !== "string") throw new Error("a member without a name");
  for (const info of [connInfo, chanInfo]) if (info !== undefined) JSON.parse(info as string);
}

const ANSWERS = JSON.parse(text(corpus("redis")[0]!)) as Readonly<Record<string, readonly unknown[]>>;
const SCRIPTS = Object.entries({ LEASE, GUARD, APPLY, WATCH, KEEP, UNLEASE });
const NAMES = new Map(await Promise.all(SCRIPTS.map(async ([name, { sha }]) => [await sha, name] as const)));

/** One answer of a Redis whose contents are anybody's: what such a command gets, or something else. */
function replyOf(next: Below, command: readonly unknown[]): Reply {
  const verb = String(command[0]);
  const name = verb.startsWith("EVAL") ? (NAMES.get(String(command[1])) ?? "other") : verb;
  const names = Object.keys(ANSWERS);
  const shapes = ANSWERS[next(40) === 0 ? names[next(names.length)]! : name] ?? ANSWERS.other!;
  const shape = shapes[next(shapes.length)];
  return asReply(next(10) > 0 ? shape : mutatedValue(next, shape));
}

/** Redis has integers, texts, nothing, and lists of these. */
function asReply(value: unknown): Reply {
  if (Array.isArray(value)) return value.map(asReply);
  if (typeof value === "string") return value.startsWith("ERROR") ? new ReplyError(value) : value;
  return typeof value === "number" && Number.isInteger(value) ? value : null;
}
