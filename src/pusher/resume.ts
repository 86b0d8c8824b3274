import type { Position } from "../core/position.ts";
import type { Publication } from "../core/publication.ts";
import { Stats } from "../core/stats.ts";
import type { Channel } from "../gateway/channel/channel.ts";
import type { GatewayContext } from "../gateway/context.ts";
import type { Session } from "../gateway/session/session.ts";
import { noteUnrecovered } from "../gateway/subscribe/unrecovered.ts";
import { position } from "../protocol/pusher/pusher.ts";
import { pusherChannel } from "./apps.ts";
import type { PusherState, ResumePoint } from "./state.ts";

/**
 * Resuming, which stock clients do not know. The wire has no room for a position in each event, so a client (the add-on
 * `pusher-resume.js`) is told one when it subscribes, and counts events from there. What it says when it comes back,
 * "so many after that position", names a place in the channel exactly.
 */

/** Names of events that the client does not count. */
const UNCOUNTED = /^(client-|pusher:|pusher_internal:|trunkline:)/;

/** Former connections a client may name. */
const MAX_PREVIOUS_IDS = 20;
/** Longest id looked at; a socket id has at most 41 characters. */
const MAX_ID_CHARS = 64;

/** `trunkline:resume`: sent before the subscribes of a new connection. Also how a client says that it counts. */
export function rememberPoints(
  context: GatewayContext,
  session: Session,
  state: PusherState,
  { sockets, channels }: Readonly<Record<string, unknown>>,
): void {
  state.resumes = true;
  if (Array.isArray(sockets)) {
    const { sessions, previousIds } = context.hub;
    const before = state.previousIds;
    state.previousIds = sockets
      .filter((id) => typeof id === "string" && id.length <= MAX_ID_CHARS)
      .slice(-MAX_PREVIOUS_IDS);
    // Only ids of closed connections: a client must not take over a live one's id.
    const closed = state.previousIds.filter((id) => !sessions.has(id));
    previousIds.replace(session, before, closed);
  }
  if (typeof channels !== "object" || channels === null) return;
  state.points = new Map();
  for (const [name, value] of Object.entries(channels)) {
    if (state.points.size >= context.options.channels) break;
    const point = readPoint(value);
    if (point) state.points.set(name, point);
  }
}

/** `[epoch, offset, events counted since]` */
function readPoint(value: unknown): ResumePoint | undefined {
  if (!Array.isArray(value)) return undefined;
  const [epoch, offset, count] = value as unknown[];
  if (typeof epoch !== "string" || !isCount(offset) || !isCount(count)) return undefined;
  return { from: { epoch, offset }, count };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** What the channel must reach back to before the client can be answered. */
export function resumePoint(state: PusherState, channel: Channel, name: string): Position | undefined {
  const point = state.points?.get(name);
  if (!point || channel.rules.recovery !== "stream") return undefined;
  return point.from;
}

/**
 * Tells a client that counts where it is now: where it was, if what came since can be had.
 * @returns from where on it is to be given what it missed
 */
export function resumeFrom(
  context: GatewayContext,
  session: Session,
  state: PusherState,
  channel: Channel,
  name: string,
): Position | undefined {
  if (!state.resumes || channel.rules.recovery === "off") return undefined;
  const point = state.points?.get(name);
  state.points?.delete(name);
  if (!point || channel.rules.recovery !== "stream") {
    session.send(position(name, channel.position, point === undefined));
    return undefined;
  }
  const recovery = channel.recover(point.from);
  if (recovery.outcome !== "recovered") {
    noteUnrecovered(context, session, channel, { from: point.from.offset, outcome: recovery.outcome });
    session.send(position(name, channel.position, false));
    return undefined;
  }
  const { entries } = recovery;
  let offset = recovery.from;
  let left = point.count;
  for (const { publication } of entries) {
    if (isCounted(publication) && isFor(state, publication) && left-- === 0) break;
    offset = publication.offset;
  }
  const missed = offset < channel.position.offset;
  Stats.bump(context.stats.recoveries, missed ? "messages" : "empty");
  const from = { epoch: channel.position.epoch, offset };
  session.send(position(name, from, true));
  return missed ? from : undefined;
}

/** Whether the client counts it. */
function isCounted({ event }: Publication): boolean {
  return event === undefined || !UNCOUNTED.test(event);
}

/** Whether a publication is for a client that came back: not if a connection it had before was to be left out. */
export function isFor(state: PusherState, { except }: Publication): boolean {
  return except === undefined || !state.previousIds.includes(except);
}

/** `trunkline:position`: the client has counted far and wants to begin anew. */
export function tellPosition(session: Session, state: PusherState, name: string | undefined): void {
  if (!state.resumes || name === undefined) return;
  const channel = session.subs.get(pusherChannel(state.app, name))?.channel;
  if (!channel || channel.rules.recovery === "off") return;
  for (const task of session.catchUps) if (task.sub.channel === channel) return;
  session.send(position(name, channel.position, true));
}

/** Continuity of a channel broke: a client that counts is told, others were promised nothing. */
export function tellLost(session: Session, state: PusherState, channel: Channel): void {
  if (!state.resumes) return;
  session.send(position(channel.id.slice(channel.id.indexOf(":") + 1), channel.position, false));
}
