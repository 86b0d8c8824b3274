import { headers, type MsgHdrs } from "nats";
import { isRefused, readBody } from "../../body.ts";
import type { MemberNotice, Notice } from "../../broker.ts";
import { type Envelope, readInfo, writeInfo } from "../link/headers.ts";

/** As long as a message of any namespace may be; the sender keeps to its own limit. */
const EVENT_RULES = { format: "json", maxMessageBytes: 1_048_576 } as const;

/** Makes the headers of a notice; only an event has a body, its data. */
export function noticeHeaders(notice: Notice): MsgHdrs {
  const out = headers();
  out.set("Trunkline-Notice", notice.kind);
  if (notice.kind === "count") {
    out.set("Trunkline-Count", String(notice.count));
    return out;
  }
  out.set("Trunkline-From", writeInfo(notice.info));
  if (notice.kind === "event") {
    out.set("Trunkline-Event", notice.event);
    out.set("Trunkline-Except", notice.except);
  } else if (notice.of) out.set("Trunkline-Of", notice.of);
  return out;
}

/** The notice a message is, or undefined: a message that comes from a stream never is one, whatever it says. */
export function readNotice(envelope: Envelope): Notice | undefined {
  const kind = envelope.notice;
  if (kind === undefined || envelope.seq > 0) return undefined;
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

function ownerOf(text: string | undefined): MemberNotice["of"] {
  return text === "connection" || text === "user" || text === "both" ? text : undefined;
}
