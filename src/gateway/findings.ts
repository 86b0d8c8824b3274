import { z } from "zod";
import { isNear } from "../core/meant.ts";
import type { Inspected, InspectedConnection } from "./instance/inspect.ts";
import type { Trouble } from "./instance/trouble.ts";
import type { Place } from "./look-shapes.ts";

/** One thing that was found. `cause`: this alone explains it; `hint`: it may; `fine`: looked at, and in order. */
export interface Finding {
  readonly kind: "cause" | "hint" | "fine";
  readonly text: string;
}

/** What findings are made of. */
export interface Known {
  readonly user?: string;
  readonly channel?: {
    readonly id: string;
    readonly namespace?: string;
    /** Whether the namespace has a history; how much of it. */
    readonly kept: boolean;
    readonly keeps?: { readonly messages: number; readonly ms: number };
    /** Whether subscribers get only the newest messages of a window. */
    readonly slims: boolean;
    /** Offset of the end of what is stored, and of what was removed. */
    readonly head?: number;
    readonly newest?: {
      readonly offset: number;
      readonly atMs: number;
      readonly priority: string;
      /** Connection that must not get it. */
      readonly except?: string;
    };
    /** Another channel of the namespace, which was published to later. */
    readonly elsewhere?: { readonly channel: string; readonly timeMs: number };
    /** Why nothing could be read of it. */
    readonly failure?: string;
  };
  readonly blocked: boolean;
  /** The user's right to the channel was taken back. */
  readonly denied: boolean;
  readonly instances: readonly Inspected[];
  /** Instances that run and have not answered; and the user's connections there, as presence lists them. */
  readonly missing: readonly Place[];
  readonly listed: readonly (Place & { readonly sinceMs: number })[];
  readonly partial: boolean;
}

/** What the server API, requests on `rtctl.why` and the command line ask: about a user, a channel, or both. */
export const whyRequest = z
  .strictObject({
    user: z.string().min(1).max(255).optional().describe("Id of the user."),
    channel: z.string().min(1).max(255).optional().describe("Name of the channel, such as `chat:room.42`."),
  })
  .refine(({ user, channel }) => user !== undefined || channel !== undefined, "a user, a channel, or both");

export type WhyRequest = z.infer<typeof whyRequest>;

/** The answer: what was found, the most likely first, and what it was found in. */
export interface Why {
  readonly findings: readonly Finding[];
  readonly instances: readonly Inspected[];
  /** Some instances may not have answered. */
  readonly partial: boolean;
  readonly channel?: Known["channel"];
}

/** A connection not heard for longer than this is said to be silent, ms: more than a ping and its answer take. */
const SILENT_MS = 45_000;
/** A socket with more than this waiting is said to be slow, bytes. */
const SLOW_BYTES = 65_536;
/** What was stored within this may still be on its way, ms. */
const ON_ITS_WAY_MS = 2_000;
/** What happened longer ago than this explains what was missed then, and no longer what is missed now, ms. */
const LATELY_MS = 600_000;

/** What follows from what is known: causes first, and among them what is nearest to the user. */
export function findings(known: Known): Finding[] {
  const found = [...ofRights(known), ...ofInstances(known), ...ofUser(known), ...ofChannel(known)];
  const order = { cause: 0, hint: 1, fine: 2 };
  return found.sort((one, other) => order[one.kind] - order[other.kind]);
}

const cause = (text: string): Finding => ({ kind: "cause", text });
const hint = (text: string): Finding => ({ kind: "hint", text });
const fine = (text: string): Finding => ({ kind: "fine", text });

function* ofRights({ user, channel, blocked, denied }: Known): Generator<Finding> {
  if (blocked) yield cause(`${user} is blocked: trunkline list shows until when`);
  if (denied)
    yield cause(`the right of ${user} to ${channel?.id} was taken back: trunkline list shows until when`);
}

function* ofInstances({ instances, missing, partial }: Known): Generator<Finding> {
  for (const { instance, broker, overloaded } of instances) {
    if (broker !== "connected") yield cause(`${instance} has lost NATS: nothing reaches its clients`);
    if (overloaded) yield hint(`${instance} is overloaded: messages of low priority are left out`);
  }
  if (missing.length > 0) yield hint(`no answer from ${named(missing)}: what is missing may be there`);
  else if (partial) yield hint("not every instance has answered: what is missing may be on one that did not");
}

const named = (places: readonly Place[]) =>
  places.map(({ instance, region }) => `${instance} (${region})`).join(", ");

function* ofUser(known: Known): Generator<Finding> {
  const { user, channel, instances } = known;
  if (user === undefined) return;
  const troubles = instances.flatMap((one) => one.troubles).sort((one, other) => other.atMs - one.atMs);
  const own = troubles.filter((one) => one.user === user);
  const connections = instances.flatMap((at) => at.connections.map((connection) => ({ at, connection })));
  const subscribed = connections.some(({ connection }) => connection.subscription);
  /** Told with a cause. */
  let told: Trouble | undefined;
  if (connections.length === 0) {
    told = own.find(({ what }) => what === "end" || what === "connect");
    yield* ofNobody(known, told, troubles);
  } else if (channel && !subscribed) {
    told = own.find((one) => one.channel === channel.id && ENDS_OR_REFUSES.has(one.what));
    yield cause(
      `${user} is connected, and not subscribed to ${channel.id}${told ? `: ${happened(told)}` : ""}`,
    );
    for (const near of new Set(instances.flatMap((one) => one.near ?? [])))
      yield cause(`${user} is subscribed to ${near}: is ${channel.id} meant?`);
  }
  for (const { at, connection } of connections) {
    yield* ofConnection(known, at, connection);
    if (channel && subscribed && !connection.subscription)
      yield hint(`connection ${connection.client} on ${at.instance} is not subscribed to ${channel.id}`);
  }
  const unrecovered = own.find(({ what }) => what === "recover");
  if (unrecovered && channel && subscribed) {
    const missed = `and what it had missed could not be delivered (${unrecovered.message})`;
    yield lately(unrecovered)(`${user} came back to ${channel.id} ${ago(unrecovered.atMs)}, ${missed}`);
  }
  const others = own.filter((one) => one !== told && one !== unrecovered && one.what !== "end");
  for (const refused of others.slice(0, 3)) yield hint(happened(refused));
}

/** What becomes of a subscription. */
const ENDS_OR_REFUSES: ReadonlySet<string> = new Set(["subscribe", "unsubscribe", "connect"]);

/** The user has no connection. */
function* ofNobody(
  { user, instances, missing, listed }: Known,
  last: Trouble | undefined,
  troubles: readonly Trouble[],
): Generator<Finding> {
  const none = `${user} has no connection`;
  if (listed.length > 0)
    yield cause(`presence lists ${user} on ${named(listed)}, and that instance does not answer`);
  else if (last?.what === "end")
    yield cause(`${none}; the last one ended ${ago(last.atMs)} with ${last.code} ${last.message}`);
  else if (last) yield cause(`${none}: its ${happened(last)}`);
  else if (missing.length > 0)
    yield cause(
      `${none} to the ${instances.length} of ${instances.length + missing.length} instances that answer`,
    );
  else yield cause(none);
  const unknown = troubles.filter((one) => one.user === "");
  if (unknown.length === 0) return;
  const times = unknown.reduce((sum, one) => sum + (one.times ?? 1), 0);
  yield hint(
    `${times} connects of unknown users were refused, the last ${ago(unknown[0]!.atMs)}: ${unknown[0]!.message}`,
  );
}

function* ofConnection(
  { channel }: Known,
  at: Inspected,
  { client, protocol, library, sinceMs, silentMs, unsentBytes, subscription }: InspectedConnection,
): Generator<Finding> {
  const name = `connection ${client} on ${at.instance} (${at.region})`;
  yield fine(
    `${name}: ${library ?? protocol}, since ${ago(sinceMs)}, last heard ${Math.round(silentMs / 1_000)} s ago`,
  );
  if (silentMs > SILENT_MS)
    yield hint(`${name} was not heard for ${Math.round(silentMs / 1_000)} s: it may be gone`);
  if (unsentBytes > SLOW_BYTES) yield cause(`${name} does not read: ${unsentBytes} bytes wait for it`);
  if (!channel || !subscription) return;
  // What was removed, or is too old, nobody lacks.
  const { offset = 0, atMs = 0, except } = channel.newest ?? {};
  if (subscription.catchingUp)
    yield cause(`${name} is still given what it missed: it is at ${subscription.offset} of ${offset}`);
  else if (subscription.offset < offset) {
    const text = `${at.instance} is behind the store: at ${subscription.offset} of ${offset}`;
    yield Date.now() - atMs < ON_ITS_WAY_MS ? hint(text) : cause(text);
  } else if (channel.kept)
    yield fine(`${name} was given everything of ${channel.id}, up to ${subscription.offset}`);
  if (except === client)
    yield cause(`${name} is left out of message ${offset}: whoever published it asked for that`);
  else if (atMs > 0 && sinceMs > atMs)
    yield hint(
      `${name} began after message ${offset} was stored: it gets that only if it asks for what it missed`,
    );
}

function* ofChannel(known: Known): Generator<Finding> {
  const { channel } = known;
  if (!channel) return;
  const { id, failure, kept, newest, keeps, elsewhere, namespace } = channel;
  yield* ofMessages(known);
  if (failure !== undefined) yield cause(`${id} cannot be read: ${failure}`);
  else if (!kept)
    yield hint(`namespace ${namespace} has no history: who is away when a message comes does not get it`);
  else if (!newest)
    yield cause(
      `nothing is stored in ${id}: nobody published, it was removed, or it is older than what is kept (${keeps?.messages} messages, ${span(keeps?.ms ?? 0)})`,
    );
  else {
    yield fine(`the newest message of ${id} is ${newest.offset}, stored ${ago(newest.atMs)}`);
    if (newest.priority === "low")
      yield hint("it was published with low priority: overloaded instances leave it out");
  }
  if (elsewhere && elsewhere.timeMs > (newest?.atMs ?? 0)) {
    const text = `the newest message of namespace ${namespace} went to ${elsewhere.channel}, ${ago(elsewhere.timeMs)}`;
    const near = isNear(elsewhere.channel, id);
    // Where something is stored, both are in use.
    if (!newest) yield near ? cause(`${text}: is ${id} meant?`) : hint(text);
  }
  if (channel.slims)
    yield hint(`namespace ${namespace} sends only the newest messages of a window (conflate)`);
}

/** What happened to messages of the channel before they got anywhere. */
function* ofMessages({ channel, instances }: Known): Generator<Finding> {
  const { id, newest } = channel!;
  const troubles = instances.flatMap(({ instance, messages = [] }) =>
    messages.map((trouble) => ({ instance, trouble })),
  );
  const latest = troubles.toSorted((one, other) => other.trouble.atMs - one.trouble.atMs);
  for (const { instance, trouble } of latest.slice(0, 5)) {
    const { channel: to = "", what, user, atMs, code, message } = trouble;
    const by = user === "" ? "a service" : user;
    const meant = to === id ? "" : `: is ${id} meant?`;
    const text =
      what === "left out"
        ? `${instance} is overloaded and left out ${many(trouble, "low-priority message")} of ${to}; ${message}, ${ago(atMs)}`
        : what === "duplicate"
          ? `what ${by} published to ${to} ${ago(atMs)} was ${message}`
          : `what ${by} published to ${to} was refused${often(trouble)} ${ago(atMs)}: ${code} ${message}`;
    // Something was stored since then: that is not what it hangs on.
    const since = what !== "left out" && (newest?.atMs ?? 0) > atMs;
    yield (since ? hint : lately(trouble))(text + meant);
  }
}

const lately = ({ atMs }: Trouble) => (Date.now() - atMs < LATELY_MS ? cause : hint);
const often = ({ times }: Trouble) => (times === undefined ? "" : ` ${times} times, the last`);
const many = ({ times = 1 }: Trouble, what: string) => (times === 1 ? `a ${what}` : `${times} ${what}s`);

function happened(trouble: Trouble): string {
  const { atMs, what, channel, code, message } = trouble;
  if (what === "unsubscribe" && code >= 1_000)
    return `the server ended its subscription to ${channel} ${ago(atMs)}: ${code} ${message}`;
  if (what === "recover")
    return `what it had missed of ${channel} could not be delivered ${ago(atMs)}: ${message}`;
  return `${what}${channel === undefined ? "" : ` of ${channel}`} was refused${often(trouble)} ${ago(atMs)}: ${code} ${message}`;
}

function ago(atMs: number): string {
  return `${span(Math.max(0, Date.now() - atMs))} ago`;
}

function span(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3_600)} h`;
}
