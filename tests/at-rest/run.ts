import type { Presence } from "../../src/presence/presence.ts";
import { token } from "../gateway/auth.ts";
import { createWorld, startGateway, type TestGateway, webhookOf } from "../gateway/fixture.ts";
import { eventually, settled, type stoppedClock, turn } from "../gateway/time.ts";
import { Random } from "../simulation/random.ts";
import { Actor, type PusherActor } from "./actors.ts";
import { wrongsOf } from "./judge.ts";
import { CHANNELS, ROOM, type Run } from "./world.ts";

const USERS = ["ann", "bob", "cat"] as const;
const MEMBERS = ["p1", "p2", "p3", "p4", "p5"] as const;

export interface RunOptions {
  readonly seed: number;
  /** Makes the presence of an instance; default: in memory. */
  readonly presence?: (instance: string) => Presence;
  /** Time stands still but for what it is told to; absent: real time, in which grace periods are none. */
  readonly clock?: ReturnType<typeof stoppedClock>;
}

/** Steps of one run. */
const LEAST = 15;
const MOST = 60;

/** Lets two instances live through a random history. @returns what was wrong at rest, and the history */
export async function liveThrough({ seed, presence, clock }: RunOptions) {
  const random = new Random(seed);
  const limits = {
    newestWins: random.pick(["off", "off", "user"] as const),
    connectionsPerUser: clock ? random.pick([0, 2]) : 0,
  };
  const graceMs = clock ? random.pick([0, 1_000]) : 0;
  const world = createWorld({
    namespaces: { chat: { presenceGraceMs: graceMs }, shop: { presenceGraceMs: graceMs } },
  });
  const app = { webhooks: [webhookOf("https://shop.example/hook")] };
  const start = (instance: string) =>
    startGateway({
      world,
      instance,
      options: limits,
      app,
      ...(presence && { drivers: { presence: presence(instance) } }),
    });
  await using here = await start("here");
  await using there = await start("there");
  const gateways = [here, there];
  const watchers: Actor[] = [];
  for (const [at, gateway] of gateways.entries()) watchers.push(connect(gateway, `watcher${at}`));
  for (const watcher of watchers) watch(watcher);
  const breaks = random.chance(0.2);
  const run: Run = {
    ...{ random, gateways, watchers, limits, breaks, actors: [], pushers: [] },
    history: [`${limits.newestWins} ${limits.connectionsPerUser} grace ${graceMs}`],
  };
  await eventually(() => watchers.every(({ subscriptions }) => subscriptions.size === CHANNELS.length));
  await settled();
  delayEverything(run);
  const steps = random.int(LEAST, MOST);
  for (let step = 0; step < steps; step++) {
    run.history.push(act(run));
    await turns(random.chance(0.5) ? 0 : random.int(1, 6));
  }
  await rest(run, clock);
  return { wrongs: await wrongsOf(run), history: run.history, steps };
}

function connect(gateway: TestGateway, user: string): Actor {
  const client = gateway.centrifuge();
  const actor = new Actor(gateway, user, client);
  client.say({ connect: { token: token({ user }) } });
  return actor;
}

function watch(actor: Actor): void {
  actor.say(
    ...CHANNELS.map((channel) => ({ method: "subscribe" as const, channel, more: { join_leave: true } })),
  );
}

/** One random step. @returns what it was */
function act(run: Run): string {
  const { random, gateways, actors, pushers } = run;
  const gateway = random.pick(gateways);
  const [user, channel] = [random.pick(USERS), random.pick(CHANNELS)];
  const living = actors.filter(({ gone }) => !gone);
  const kind = random.int(0, 99);
  const { operations } = gateway.gateway;
  if (living.length === 0 || kind < 22) {
    const actor = connect(gateway, user);
    actors.push(actor);
    if (random.chance(0.7)) actor.say({ method: "subscribe", channel });
    return `${user} connects`;
  }
  const actor = random.pick(living);
  const name = `${actor.user} ${actors.indexOf(actor)}`;
  if (kind < 40) return said(name, actor, ["subscribe"], channel);
  if (kind < 48) return said(name, actor, ["unsubscribe"], channel);
  if (kind < 56) return said(name, actor, ["subscribe", "unsubscribe", "subscribe"], channel);
  if (kind < 62) return said(name, actor, ["unsubscribe", "subscribe"], channel);
  if (kind < 70) {
    actor.client.socket.end(random.pick([1000, 1006]), "");
    return `${name} goes`;
  }
  if (kind < 74) return ordered(`${user} is unsubscribed`, operations.unsubscribe({ user }, channel));
  if (kind < 78) return ordered(`${user} is subscribed`, operations.subscribe({ user }, channel));
  if (kind < 81) return ordered(`${user} is kicked`, operations.disconnect({ user }));
  if (kind < 84 && run.breaks) {
    const { id } = actor;
    const [namespace, rest] = channel.split(":") as [string, string];
    gateways[0]!.world.bus.truncate({ id: channel, namespace, name: rest });
    return `${channel} breaks, ${id}`;
  }
  return actAsPusher(gateway, random, pushers);
}

function said(
  name: string,
  actor: Actor,
  methods: readonly ("subscribe" | "unsubscribe")[],
  channel: string,
): string {
  actor.say(...methods.map((method) => ({ method, channel })));
  return `${name} ${methods.join(" ")} ${channel}`;
}

function ordered(what: string, done: Promise<unknown>): string {
  done.catch(() => {});
  return what;
}

function actAsPusher(gateway: TestGateway, random: Random, pushers: PusherActor[]): string {
  const living = pushers.filter(({ client }) => !client.socket.closed);
  const subscribe = (actor: PusherActor) => {
    const { client, user } = actor;
    actor.wants = true;
    const data = JSON.stringify({ user_id: user });
    client.say("pusher:subscribe", { channel: ROOM, ...client.auth(ROOM, data) });
  };
  const kind = random.int(0, 9);
  if (living.length === 0 || kind < 4) {
    const actor = { user: random.pick(MEMBERS), client: gateway.pusher(), wants: true };
    pushers.push(actor);
    subscribe(actor);
    return `member ${actor.user} connects`;
  }
  const actor = random.pick(living);
  if (kind < 6) actor.client.socket.end(1006, "");
  else {
    actor.client.say("pusher:unsubscribe", { channel: ROOM });
    actor.wants = false;
    if (kind < 8) subscribe(actor);
  }
  return `member ${actor.user} ${kind < 6 ? "goes" : kind < 8 ? "leaves and comes back" : "leaves"}`;
}

/** From now on every answer of every port takes a few turns of the event loop, each another number of them. */
function delayEverything({ random, gateways }: Run): void {
  const pause = () => turns(random.chance(0.4) ? 0 : random.int(1, 8));
  for (const { presence, broker, authenticator } of gateways) {
    presence.delay(
      [
        ...(["connected", "claim", "disconnected", "join", "leave", "forget"] as const),
        ...(["members", "stats", "connectionsOf", "instances"] as const),
      ],
      pause,
    );
    broker.delay(["attach", "history", "survey"], pause);
    authenticator.delay(["connection", "subscription"], pause);
  }
}

async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left--) await turn();
}

/** Longer than any grace period, and than lists of users stay in doubt, ms. */
const REST_MS = 8_000;

/** Waits until nothing happens any more. */
async function rest({ gateways }: Run, clock: RunOptions["clock"]): Promise<void> {
  const calm = () =>
    gateways.every((each) =>
      [each.presence, each.broker, each.authenticator].every(({ underWay }) => underWay === 0),
    );
  const settle = async () => {
    for (let quiet = 0; quiet < 3; quiet = calm() ? quiet + 1 : 0) await settled();
  };
  await settle();
  await clock?.advance(REST_MS);
  for (let round = 0; round < 2; round++) {
    for (const { gateway } of gateways) void gateway.context.tracker.tick(true);
    await settle();
    for (const { pusherUsers } of gateways) pusherUsers.tick(Number.POSITIVE_INFINITY);
    await settle();
  }
}
