import { isDeeper, MAX_JSON_DEPTH, rawMember } from "../../core/json-text.ts";
import type { DecodeFailure } from "../command.ts";
import type { PusherMessage } from "./message.ts";

const NO_FIELDS: PusherMessage["fields"] = {};

/**
 * Reads one frame of the Pusher protocol: `{"event":…,"channel"?:…,"data"?:…}`, where `data` may be any JSON value, or a
 * string that holds one.
 */
export function decodePusherFrame(frame: string): PusherMessage | DecodeFailure {
  if (isDeeper(frame, MAX_JSON_DEPTH)) return malformed("nested too deep");
  const value = parse(frame);
  if (!isObject(value)) return malformed("not a JSON object");
  const { event, channel, data } = value;
  if (typeof event !== "string" || event === "") return malformed("event");
  if (channel !== undefined && channel !== null && typeof channel !== "string") return malformed("channel");
  const text = typeof data === "string" ? data : (rawMember(frame, "data") ?? "");
  const object = typeof data === "string" && event.startsWith("pusher") ? parse(data) : data;
  return {
    method: "pusher",
    id: 0,
    event,
    ...(typeof channel === "string" && { to: channel }),
    data: text,
    fields: isObject(object) ? object : NO_FIELDS,
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function malformed(detail: string): DecodeFailure {
  return { method: "malformed", detail };
}
