import type { Config } from "./table.ts";
import { formatSize } from "./units.ts";

/** What one subscribe takes in a frame: a token of the usual length, the channel's name, the rest. */
const SUBSCRIBE_BYTES = 1_536;
/** What a subscribe of the Pusher protocol takes, signed. */
const PUSHER_SUBSCRIBE_BYTES = 384;
/** What a command takes beside its body. */
const ENVELOPE_BYTES = 1_024;
/** A rate lets so many seconds' worth through at once. */
const BURST_SECONDS = 2;

/**
 * Pairs of limits of which one does not let through what the other allows, and rules that do not hold for everybody:
 * legal, and seldom what is wanted. Each text names the settings and what would be enough. They are told at the start and by `doctor`.
 */
export function* limitConflicts(config: Config): Generator<string> {
  yield* subscribeConflicts(config);
  yield* bodyConflicts(config);
  yield* accessConflicts(config);
  yield* appConflicts(config);
}

/** What an app's channels lack in its namespace, and what one of its clients may have that does not fit. */
function* appConflicts({ apps, namespaces, limits: { bytesPerSecond } }: Config): Generator<string> {
  for (const { id, namespace, limits } of apps) {
    const { history, presence } = namespaces.get(namespace) ?? {};
    if (!history) yield `apps.${id}: its cache channels hold nothing: set namespaces.${namespace}.history`;
    if (!presence)
      yield `apps.${id}: its presence channels are refused: set namespaces.${namespace}.presence`;
    const bytes = limits.channels * PUSHER_SUBSCRIBE_BYTES;
    if (bytesPerSecond > 0 && bytesPerSecond * BURST_SECONDS < bytes) {
      yield `limits.bytesPerSecond: a client with ${limits.channels} channels (apps.${id}.limits.channels) subscribes to all ` +
        `of them at once when it comes back: set it to ${formatSize(bytes / BURST_SECONDS)} or more, or lower limits.channels`;
    }
  }
}

/** Rules of a namespace that clients with an app's key pass by, because the Pusher protocol has rules of its own. */
function* accessConflicts({ apps, namespaces }: Config): Generator<string> {
  for (const { id, namespace } of apps) {
    const { subscribe } = namespaces.get(namespace) ?? {};
    if (subscribe !== "token" && subscribe !== "nobody") continue;
    yield `apps.${id}: namespaces.${namespace}.subscribe is ${subscribe}, and everybody with the app's public key subscribes ` +
      "to its channels all the same, but for those whose names begin with private- or presence-: use these names, or another " +
      "namespace for the app";
  }
}

/** A client that comes back subscribes to all its channels at once. */
function* subscribeConflicts({ limits }: Config): Generator<string> {
  const { channels, commandsPerSecond, pendingCommands, frameBytes, bytesPerSecond } = limits;
  const why = `a client with ${channels} channels (limits.channels) subscribes to all of them at once when it comes back`;
  // Beside the connect command.
  const commands = Math.ceil((channels + 1) / BURST_SECONDS);
  if (commandsPerSecond > 0 && commandsPerSecond < commands) {
    yield `limits.commandsPerSecond: ${why}: set it to ${commands} or more, or lower limits.channels`;
  }
  if (pendingCommands < channels) {
    yield `limits.pendingCommands: ${why}: set it to ${channels} or more, or lower limits.channels`;
  }
  const bytes = channels * SUBSCRIBE_BYTES;
  if (frameBytes < bytes) {
    yield `limits.frame: ${why}, in one frame, with a token of 1 KiB each that is up to ${formatSize(bytes)}: raise it, or ` +
      "lower limits.channels";
  }
  if (bytesPerSecond > 0 && bytesPerSecond * BURST_SECONDS < bytes) {
    yield `limits.bytesPerSecond: ${why}: set it to ${formatSize(bytes / BURST_SECONDS)} or more, or lower limits.channels`;
  }
}

/** Bodies that clients and services may send must fit what carries them. */
function* bodyConflicts({ limits, rpc, http, namespaces }: Config): Generator<string> {
  const frame = limits.frameBytes - ENVELOPE_BYTES;
  if (rpc.bodyBytes > frame) {
    yield `rpc.body: a request of that length does not fit limits.frame: set limits.frame to ` +
      `${formatSize(rpc.bodyBytes + ENVELOPE_BYTES)} or more, or lower rpc.body`;
  }
  for (const { name, publish, maxMessageBytes } of namespaces.values()) {
    if (publish !== "nobody" && maxMessageBytes > frame) {
      yield `namespaces.${name}.maxMessage: a client's message of that length does not fit limits.frame: set limits.frame ` +
        `to ${formatSize(maxMessageBytes + ENVELOPE_BYTES)} or more`;
    }
    if (maxMessageBytes > http.maxRequestBytes - ENVELOPE_BYTES) {
      yield `namespaces.${name}.maxMessage: a message of that length does not fit a request of the server API: set ` +
        `http.maxRequest to ${formatSize(maxMessageBytes + ENVELOPE_BYTES)} or more`;
    }
  }
}
