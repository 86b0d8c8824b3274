import { CommandError, Errors } from "./errors.ts";

/** Longest channel name accepted, in UTF-16 units, namespace included (Centrifuge's own default). */
export const MAX_CHANNEL_LENGTH = 255;

/** The namespace of a channel whose name has no colon. */
export const DEFAULT_NAMESPACE = "default";

/** The namespace of every user's own inbox, `user:<id>`. */
export const USER_NAMESPACE = "user";

/** What namespaces may be called: channel names of shipped apps begin with theirs, so this is what other servers take. */
export const NAMESPACE_PATTERN = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;

/** {@link NAMESPACE_PATTERN} in words. */
export const NAMESPACE_WORDS = "up to 64 of A-Z, a-z, 0-9, _, . and -, none of the last two first";

/** What the name of a channel begins with that nobody may use without a token, as its clients write it: `$ns:room`. */
const PRIVATE = "$";

/** Behind it stand the users a channel is for, with commas between them: `room#42,43`. */
const USERS = "#";

/** A channel name taken apart. `id` is the whole name as clients write it (`chat:room.42`). */
export interface ChannelName {
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
}

/**
 * Takes a channel name apart: `chat:room.42` → namespace `chat`, name `room.42`; without a colon the namespace is
 * `default`. The first colon decides. Whether the namespace exists is not asked here. A private channel is written with
 * its sign in front of all: `$chat:room` → namespace `chat`, name `$room`.
 *
 * Any character may stand in a name except lone surrogates (they have no UTF-8 form); what NATS or Redis cannot
 * carry is escaped where subjects and keys are built.
 *
 * @throws CommandError badRequest (107): empty, longer than {@link MAX_CHANNEL_LENGTH}, malformed
 */
export function parseChannel(id: string): ChannelName {
  if (id.length === 0 || id.length > MAX_CHANNEL_LENGTH) {
    throw new CommandError(Errors.badRequest, "channel name is empty or too long");
  }
  const colon = id.indexOf(":");
  const sign = colon > 0 && id.startsWith(PRIVATE) ? PRIVATE : "";
  const namespace = colon < 0 ? DEFAULT_NAMESPACE : id.slice(sign.length, colon);
  const rest = colon < 0 ? id : id.slice(colon + 1);
  const name = sign + rest;
  if (rest.length === 0 || !NAMESPACE_PATTERN.test(namespace) || !id.isWellFormed()) {
    throw new CommandError(Errors.badRequest, "malformed channel name");
  }
  // `default:x` and `x` would be two names of one channel: only the short form is one.
  if (colon >= 0 && namespace === DEFAULT_NAMESPACE) {
    throw new CommandError(Errors.badRequest, "write channels of the default namespace without a prefix");
  }
  // So would `chat:$x` and `$chat:x`. In an inbox the sign is a part of the user's id.
  const misplaced = namespace === USER_NAMESPACE ? sign !== "" : sign === "" && rest.startsWith(PRIVATE);
  if (colon >= 0 && misplaced) {
    throw new CommandError(Errors.badRequest, "write $ in front of the namespace");
  }
  return { id, namespace, name };
}

/** The client-visible name of a channel; the inverse of {@link parseChannel} (a default-namespace name has no colon). */
export function channelId(namespace: string, name: string): string {
  if (namespace === DEFAULT_NAMESPACE) return name;
  return name.startsWith(PRIVATE) && namespace !== USER_NAMESPACE
    ? `${PRIVATE}${namespace}:${name.slice(PRIVATE.length)}`
    : `${namespace}:${name}`;
}

/**
 * Whether a channel is by its name not for this user, unless a token or a capability says otherwise: a private one is for
 * nobody, one that names users is for them. Servers that clients may come from have the same rules. Of inboxes
 * {@link isForeignInbox} says it: in a user's id neither sign means anything.
 */
export function isKeptFrom({ namespace, name }: Omit<ChannelName, "id">, user: string): boolean {
  if (namespace === USER_NAMESPACE) return false;
  if (name.startsWith(PRIVATE)) return true;
  const users = name.lastIndexOf(USERS);
  if (users < 0) return false;
  return (
    user === "" ||
    !name
      .slice(users + USERS.length)
      .split(",")
      .includes(user)
  );
}

/** Whether a channel is the inbox of somebody else: nobody is ever subscribed to one, whoever asks for it. */
export function isForeignInbox({ id, namespace }: ChannelName, user: string): boolean {
  return namespace === USER_NAMESPACE && (user === "" || id !== inboxOf(user));
}

/** The inbox of a user. */
export function inboxOf(user: string): string {
  return `${USER_NAMESPACE}:${user}`;
}
