import { tagAt, tagOfHash, tagOfText } from "../../../core/tag.ts";
import type { Envelope } from "./headers.ts";

/**
 * Which message one is: its `Nats-Msg-Id`, where it has one, else when it was stored, else (nats-server 2.9 does not
 * republish that) what begins and ends its body.
 */
export interface MessageIdentity {
  readonly seq: number;
  readonly id: string | undefined;
  readonly stored: string | undefined;
  /** Hash of the body; 0 where the message has an id. */
  readonly body: number;
}

/** The tag that a message's offset has, see core/tag. */
export function tagOf({ id, stored, body }: MessageIdentity): number {
  if (id !== undefined) return tagOfText(id);
  return stored === undefined ? tagOfHash(body) : tagOfText(stored);
}

/**
 * Whether a message may have got an offset with this tag. One without an id may have got it before its server told its
 * time (nats-server 2.9).
 */
export function hasTag(one: MessageIdentity, tag: number): boolean {
  const is = (own: number) => tagAt(one.seq, own) === tag;
  return is(tagOf(one)) || (one.id === undefined && is(tagOfHash(one.body)));
}

/** The identity of a message. */
export function identityOf({ seq, id, stored, data }: Envelope): MessageIdentity {
  return { seq, id, stored, body: id === undefined ? hashOf(data) : 0 };
}

/** Whether two are the same message, seen in two ways; that their sequences agree is for the caller to see. */
export function isSame(a: MessageIdentity, b: MessageIdentity): boolean {
  if (a.id !== undefined || b.id !== undefined) return a.id === b.id;
  if (a.stored !== undefined && b.stored !== undefined) return a.stored === b.stored;
  return a.body === b.body;
}

/** FNV-1a over the first 256 bytes, the last 64 and the length. */
function hashOf(data: Uint8Array): number {
  let hash = 0x811c9dc5;
  const add = (byte: number) => {
    hash = Math.imul(hash ^ byte, 0x01000193);
  };
  for (let at = 0; at < Math.min(256, data.length); at++) add(data[at]!);
  for (let at = Math.max(256, data.length - 64); at < data.length; at++) add(data[at]!);
  for (let length = data.length; length > 0; length = Math.floor(length / 256)) add(length % 256);
  return hash >>> 0;
}
