import { type ClientInfo, type Publication, tagsOf } from "../../core/publication.ts";
import { strictUtf8Decoder, utf8Encoder } from "../../core/text.ts";
import type { DeltaEncoder } from "../codec.ts";
import { commandId, count, int32, jsonText } from "../fields.ts";
import { decodeJsonFrame } from "./json-decode.ts";
import type { CentrifugeCodec, ConnectResult, SubscribeResult } from "./replies.ts";

const quote = JSON.stringify as (value: string) => string;

/** Data is a string, of the message's JSON text or of the delta between two such texts. */
const deltas: DeltaEncoder = {
  publication: (pub) => publicationOf(pub, quote(jsonOf(pub))),
  base: (pub) => utf8Encoder.encode(jsonOf(pub)),
  delta(pub, delta) {
    try {
      return publicationOf(pub, quote(strictUtf8Decoder.decode(delta)), ',"delta":true');
    } catch {
      return undefined; // it cuts a character in two, which no string can hold
    }
  },
};

/**
 * The JSON encoding of the Centrifuge client protocol v2. Zero values are left out; payloads are spliced as they are
 * (valid JSON without raw newlines, which the broker port guarantees), so a frame is one line.
 */
export const centrifugeJson = {
  name: "centrifuge-json",
  ping: "{}",
  deltas,

  decode: (frame) =>
    typeof frame === "string"
      ? decodeJsonFrame(frame)
      : [{ method: "malformed", detail: "binary frame on a JSON connection" }],

  error: (id, error) =>
    `{"id":${commandId(id)},"error":{"code":${int32("code", error.code)},"message":${quote(error.message)}${
      error.temporary ? ',"temporary":true' : ""
    }}}`,

  empty: (id, method) => `{"id":${commandId(id)},"${method}":{}}`,
  connect: (id, result) => `{"id":${commandId(id)},"connect":${connectResult(result)}}`,
  subscribe: (id, result) => `{"id":${commandId(id)},"subscribe":{${subscribeFields(result)}}}`,

  members: (members) => members.map((info) => `${quote(info.client)}:${clientInfo(info)}`).join(),
  presence: (id, list) => `{"id":${commandId(id)},"presence":{"presence":{${list}}}}`,

  presenceStats: (id, clients, users) =>
    `{"id":${commandId(id)},"presence_stats":{"num_clients":${int32("num_clients", clients)},"num_users":${int32("num_users", users)}}}`,

  history: (id, publications, position) =>
    `{"id":${commandId(id)},"history":{"publications":[${publications.map(publication).join()}],` +
    `"offset":${count("offset", position.offset)},"epoch":${quote(position.epoch)}}}`,

  rpc: (id, data) => `{"id":${commandId(id)},"rpc":{"data":${jsonText("data", data)}}}`,

  refresh: (id, client, version, ttl) =>
    `{"id":${commandId(id)},"refresh":{"client":${quote(client)},"version":${quote(version)}${expiry(ttl)}}}`,

  subRefresh: (id, ttl) => `{"id":${commandId(id)},"sub_refresh":{${expiry(ttl).slice(1)}}}`,

  publication,
  publicationPush: (channel, encoded) => `{"push":{"channel":${quote(channel)},"pub":${encoded}}}`,
  memberPush: (channel, kind, info) =>
    `{"push":{"channel":${quote(channel)},"${kind}":{"info":${clientInfo(info)}}}}`,
  subscribePush: (channel, result) =>
    `{"push":{"channel":${quote(channel)},"subscribe":{${subscribeFields(result)}}}}`,
  unsubscribePush: (channel, code, reason) =>
    `{"push":{"channel":${quote(channel)},"unsubscribe":{"code":${int32("code", code)},"reason":${quote(reason)}}}}`,
  refreshPush: (ttl) => `{"push":{"refresh":{${expiry(ttl).slice(1)}}}}`,
  disconnectPush: (code, reason) =>
    `{"push":{"disconnect":{"code":${int32("code", code)},"reason":${quote(reason)}}}}`,
  streamed: (frame) => `${frame as string}\n`,
} as const satisfies CentrifugeCodec;

function connectResult(result: ConnectResult): string {
  let text =
    `{"client":${quote(result.client)},"version":${quote(result.version)},` +
    `"ping":${int32("ping", result.ping)}${result.pong ? ',"pong":true' : ""},"node":${quote(result.node)},"time":${count("time", result.timeMs)}`;
  if (result.session !== undefined) text += `,"session":${quote(result.session)}`;
  if (result.data !== undefined) text += `,"data":${jsonText("data", result.data)}`;
  text += expiry(result.ttl);
  if (result.subs.size > 0) {
    const subs = Array.from(result.subs, ([channel, sub]) => `${quote(channel)}:{${subscribeFields(sub)}}`);
    text += `,"subs":{${subs.join()}}`;
  }
  return `${text}}`;
}

function subscribeFields(result: SubscribeResult): string {
  const fields: string[] = [];
  if (result.recoverable) fields.push('"recoverable":true');
  if (result.positioned) fields.push('"positioned":true');
  if (result.recoverable || result.positioned) {
    fields.push(
      `"epoch":${quote(result.position.epoch)}`,
      `"offset":${count("offset", result.position.offset)}`,
    );
  }
  if (result.wasRecovering) fields.push('"was_recovering":true');
  if (result.recovered) fields.push('"recovered":true');
  if (result.publications.length > 0) fields.push(`"publications":[${result.publications.join()}]`);
  if (result.delta) fields.push('"delta":true');
  if (result.ttl !== undefined) fields.push(expiry(result.ttl).slice(1));
  if (result.data !== undefined) fields.push(`"data":${jsonText("data", result.data)}`);
  return fields.join();
}

/** Starts with a comma, empty when there is no expiry. */
function expiry(ttl: number | undefined): string {
  return ttl === undefined ? "" : `,"expires":true,"ttl":${int32("ttl", ttl)}`;
}

/** Bytes have no JSON form: a JSON client gets them as a base64 string. */
function jsonOf({ data }: Publication): string {
  return typeof data === "string" ? jsonText("data", data) : `"${data.toBase64()}"`;
}

function publication(pub: Publication): string {
  return publicationOf(pub, jsonOf(pub));
}

/** @param more further members, each after a comma */
function publicationOf(pub: Publication, data: string, more = ""): string {
  const offset = count("offset", pub.offset);
  let text = offset > 0 ? `{"offset":${offset},"data":${data}` : `{"data":${data}`;
  if (pub.info) text += `,"info":${clientInfo(pub.info)}`;
  const tags = tagsOf(pub);
  if (tags) text += `,"tags":${JSON.stringify(tags)}`;
  const time = count("time", pub.timeMs);
  if (time > 0) text += `,"time":${time}`;
  return `${text}${more}}`;
}

function clientInfo(info: ClientInfo): string {
  let text = `{"user":${quote(info.user)},"client":${quote(info.client)}`;
  if (info.connInfo !== undefined) text += `,"conn_info":${jsonText("conn_info", info.connInfo)}`;
  if (info.chanInfo !== undefined) text += `,"chan_info":${jsonText("chan_info", info.chanInfo)}`;
  return `${text}}`;
}
