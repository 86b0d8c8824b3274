import { CommandError, Errors } from "./errors.ts";

/** Longest channel name accepted, in UTF-16 units, namespace included (Centrifuge's own default). */
export const MAX_CHANNEL_LENGTH = 255;

/** The namespace of a channel whose name has no colon. */
export const DEFAULT_NAMESPACE = "default";

/** The namespace of every user's own inbox, `user:<id>`. */
export const USER_NAMESPACE = "user";

/** Namespaces are lower case with no underscore, so that stream names glued from them stay unambiguous. */
export const NAMESPACE_PATTERN = /^[a-z][a-z0-9-]{0,31}$/;

/** A channel name taken apart. `id` is the whole name as clients write it (`chat:room.42`). */
export interface ChannelName {
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
}

/**
 * Takes a channel name apart: `chat:room.42` → namespace `chat`, name `room.42`; without a colon the namespace is
 * `default`. The first colon decides. Whether the namespace exists is not asked here.
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
  const namespace = colon < 0 ? DEFAULT_NAMESPACE : id.slice(0, colon);
  const name = colon < 0 ? id : id.slice(colon + 1);
  if (name.length === 0 || !NAMESPACE_PATTERN.test(namespace) || !id.isWellFormed()) {
    throw new CommandError(Errors.badRequest, "malformed channel name");
  }
  // `default:x` and `x` would be two names of one channel: only the short form is one.
  if (colon >= 0 && namespace === DEFAULT_NAMESPACE) {
    throw new CommandError(Errors.badRequest, "write channels of the default namespace without a prefix");
  }
  return { id, namespace, name };
}

/** The client-visible name of a channel; the inverse of {@link parseChannel} (a default-namespace name has no colon). */
export function channelId(namespace: string, name: string): string {
  return namespace === DEFAULT_NAMESPACE ? name : `${namespace}:${name}`;
}

/** Whether a channel is the inbox of somebody else: nobody is ever subscribed to one, whoever asks for it. */
export function isForeignInbox({ id, namespace }: ChannelName, user: string): boolean {
  return namespace === USER_NAMESPACE && (user === "" || id !== inboxOf(user));
}

/** The inbox of a user. */
export function inboxOf(user: string): string {
  return `${USER_NAMESPACE}:${user}`;
}
