import type { NamespaceRules } from "../../../core/namespace.ts";
import { isRefused, readBody } from "../../body.ts";
import type { ChannelEvent, MemberEvent, SentEvent } from "../../broker.ts";
import { HeaderBlock } from "../link/header-block.ts";
import { type Envelope, readInfo, writeInfo } from "../link/headers.ts";
import { isFlawed, toPublication } from "./publication.ts";

/** As long as a message of any namespace may be; the sender keeps to its own limit. */
const EVENT_RULES = { format: "json", maxMessageBytes: 1_048_576 } as const;

/** Makes the headers of a channel event; only a client event has a body, its data. */
export function channelEventHeaders(event: SentEvent): HeaderBlock {
  const out = new HeaderBlock();
  out.set("Trunkline-Notice", event.kind);
  if (event.kind === "count") {
    out.set("Trunkline-Count", String(event.count));
    return out;
  }
  out.set("Trunkline-From", writeInfo(event.info));
  if (event.kind === "event") {
    out.set("Trunkline-Event", event.event);
    out.set("Trunkline-Except", event.except);
  } else if (event.of) out.set("Trunkline-Of", event.of);
  return out;
}

/**
 * The event a message is, or undefined: a message that comes from a stream never is one, whatever it says. @param rules of
 * the channel's namespace @param traced see {@link toPublication}
 */
export function readChannelEvent(
  envelope: Envelope,
  rules: NamespaceRules,
  traced = false,
): ChannelEvent | undefined {
  const kind = envelope.notice;
  if (kind === undefined || envelope.seq > 0) return undefined;
  if (kind === "message") {
    const publication = toPublication(envelope, rules, 0, undefined, traced);
    return isFlawed(publication) ? undefined : { kind, publication };
  }
  if (kind === "count") {
    return Number.isSafeInteger(envelope.count) && envelope.count >= 0
      ? { kind, count: envelope.count }
      : undefined;
  }
  const info = readInfo(envelope.from);
  if (!info) return undefined;
  if (kind === "join" || kind === "leave") {
    const of = ownerOf(envelope.of);
    return of ? { kind, info, of } : { kind, info };
  }
  const { event, except } = envelope;
  if (kind !== "event" || event === undefined || except === undefined) return undefined;
  const data = readBody(envelope.data, undefined, EVENT_RULES);
  return isRefused(data) || typeof data !== "string" ? undefined : { kind, event, data, info, except };
}

function ownerOf(text: string | undefined): MemberEvent["of"] {
  return text === "connection" || text === "user" || text === "both" ? text : undefined;
}
