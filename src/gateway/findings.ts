import { z } from "zod";
import type { Inspected, InspectedConnection } from "./instance/inspect.ts";
import type { Trouble } from "./instance/trouble.ts";

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
    /** Whether the namespace has a history. */
    readonly kept: boolean;
    /** Whether subscribers get only the newest messages of a window. */
    readonly slims: boolean;
    /** Offset of the end of what is stored. */
    readonly head?: number;
    readonly newest?: { readonly offset: number; readonly atMs: number; readonly priority: string };
    /** Why nothing could be read of it. */
    readonly failure?: string;
  };
  readonly blocked: boolean;
  /** The user's right to the channel was taken back. */
  readonly denied: boolean;
  readonly instances: readonly Inspected[];
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

/** What follows from what is known: causes first. */
export function findings(known: Known): Finding[] {
  const found = [...ofRights(known), ...ofChannel(known), ...ofUser(known), ...ofInstances(known)];
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

function* ofChannel({ channel }: Known): Generator<Finding> {
  if (!channel) return;
  const { id, failure, kept, newest } = channel;
  if (failure !== undefined) yield cause(`${id} cannot be read: ${failure}`);
  else if (!kept)
    yield hint(
      `namespace ${channel.namespace} has no history: who is away when a message comes does not get it`,
    );
  else if (!newest)
    yield cause(`nothing is stored in ${id}: nobody published, or it is older than the history keeps`);
  else {
    yield fine(`the newest message of ${id} is ${newest.offset}, stored ${ago(newest.atMs)}`);
    if (newest.priority === "low")
      yield hint("it was published with low priority: overloaded instances leave it out");
  }
  if (channel.slims)
    yield hint(`namespace ${channel.namespace} sends only the newest messages of a window (conflate)`);
}

function* ofUser(known: Known): Generator<Finding> {
  const { user, channel, instances } = known;
  if (user === undefined) return;
  const troubles = instances.flatMap((one) => one.troubles).sort((one, other) => other.atMs - one.atMs);
  const own = troubles.filter((one) => one.user === user);
  const connections = instances.flatMap((at) => at.connections.map((connection) => ({ at, connection })));
  if (connections.length === 0) {
    const end = own.find(({ what }) => what === "end");
    yield cause(
      `${user} has no connection${end ? `; the last one ended ${ago(end.atMs)} with ${end.code} ${end.message}` : ""}`,
    );
    const unknown = troubles.filter((one) => one.user === "");
    if (unknown.length > 0)
      yield hint(
        `${unknown.length} connects of unknown users were refused, the last ${ago(unknown[0]!.atMs)}: ${unknown[0]!.message}`,
      );
  }
  for (const { at, connection } of connections) yield* ofConnection(known, at, connection);
  for (const refused of own.filter(({ what }) => what !== "end").slice(0, 3)) yield hint(refusal(refused));
  if (channel && connections.length > 0 && !connections.some(({ connection }) => connection.subscription)) {
    yield cause(`${user} is connected, and not subscribed to ${channel.id}`);
  }
}

function* ofConnection(
  { channel }: Known,
  at: Inspected,
  { client, protocol, library, sinceMs, silentMs, unsentBytes, subscription }: InspectedConnection,
): Generator<Finding> {
  const named = `connection ${client} on ${at.instance} (${at.region})`;
  yield fine(
    `${named}: ${library ?? protocol}, since ${ago(sinceMs)}, last heard ${Math.round(silentMs / 1_000)} s ago`,
  );
  if (silentMs > SILENT_MS)
    yield hint(`${named} was not heard for ${Math.round(silentMs / 1_000)} s: it may be gone`);
  if (unsentBytes > SLOW_BYTES) yield cause(`${named} does not read: ${unsentBytes} bytes wait for it`);
  if (!channel || !subscription) return;
  const head = channel.head ?? 0;
  if (subscription.catchingUp)
    yield cause(`${named} is still given what it missed: it is at ${subscription.offset} of ${head}`);
  else if (subscription.offset < head)
    yield cause(`${at.instance} is behind the store: at ${subscription.offset} of ${head}`);
  else yield fine(`${named} was given everything of ${channel.id}, up to ${subscription.offset}`);
}

function* ofInstances({ instances, partial }: Known): Generator<Finding> {
  for (const { instance, broker, overloaded } of instances) {
    if (broker !== "connected") yield cause(`${instance} has lost NATS: nothing reaches its clients`);
    if (overloaded) yield hint(`${instance} is overloaded: messages of low priority are left out`);
  }
  if (partial) yield hint("not every instance has answered: what is missing may be on one that did not");
}

function refusal({ atMs, what, channel, code, message }: Trouble): string {
  return `${what}${channel === undefined ? "" : ` of ${channel}`} was refused ${ago(atMs)}: ${code} ${message}`;
}

function ago(atMs: number): string {
  const seconds = Math.max(0, Math.round((Date.now() - atMs) / 1_000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3_600)} h ago`;
}
