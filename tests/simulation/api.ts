import type { StreamConfig } from "nats";
import { utf8Decoder, utf8Encoder } from "../../src/core/text.ts";
import { atLeast } from "../../src/core/version.ts";
import type { Clock } from "./clock.ts";
import type { Wire } from "./connection.ts";
import type { Entry, Log } from "./log.ts";
import type { Random } from "./random.ts";
import { SimStream } from "./streams.ts";

/** The servers that answer. */
export interface ApiServers {
  readonly streams: Map<string, SimStream>;
  readonly version: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Has the last word on an answer; `undefined`: none is given. */
  readonly twist?: ((call: string, result: object) => object | undefined) | undefined;
  send(message: Wire): void;
  advise(action: "CREATED" | "UPDATED" | "DELETED", stream: string): void;
  timestamp(): string;
}

interface Query {
  readonly seq?: number;
  readonly next_by_subj?: string;
  readonly last_by_subj?: string;
  readonly batch?: number;
}

/** Answers a request to JetStream's API. What nobody leads is not answered. */
export function answer(servers: ApiServers, { subject, reply = "", data = new Uint8Array() }: Wire): void {
  const call = subject.slice("$JS.API.".length);
  const text = utf8Decoder.decode(data);
  const body = (text ? JSON.parse(text) : {}) as Record<string, unknown>;
  const direct = /^DIRECT\.GET\.([^.]+)$/.exec(call);
  if (direct) {
    directGet(servers, servers.streams.get(direct[1]!), body as Query, reply);
    return;
  }
  const handled = handle(servers, call, body);
  const result = handled && servers.twist ? servers.twist(call, handled) : handled;
  if (result === undefined) return;
  if (reply) servers.send({ subject: reply, data: utf8Encoder.encode(JSON.stringify(result)) });
}

function handle(servers: ApiServers, call: string, body: Record<string, unknown>): object | undefined {
  if (call === "INFO") return { memory: 0, storage: 0, streams: servers.streams.size, limits: {} };
  if (call === "STREAM.NAMES") return names(servers, body as { subject?: string });
  const [, kind, name, rest] = /^(\w+\.[A-Z]+(?:\.[A-Z]+)?)\.([^.]+)(?:\.(.+))?$/.exec(call) ?? [];
  const stream = servers.streams.get(name ?? "");
  if (kind === "STREAM.CREATE") return create(servers, stream, body as unknown as StreamConfig);
  if (!stream) return failed(404, 10059, "stream not found");
  if (kind === "STREAM.INFO") return stream.info(body.subjects_filter as string | undefined);
  const { led } = stream;
  if (!led) return undefined;
  if (kind === "STREAM.UPDATE") return update(servers, stream, body as unknown as StreamConfig);
  if (kind === "STREAM.DELETE") {
    servers.streams.delete(stream.name);
    servers.advise("DELETED", stream.name);
    return { success: true };
  }
  if (kind === "STREAM.PURGE") {
    const { filter = ">", seq = Number.POSITIVE_INFINITY } = body as { filter?: string; seq?: number };
    for (const log of stream.logs) log.purge(filter, seq);
    return { success: true, purged: 0 };
  }
  if (kind === "STREAM.MSG.GET") return messageGet(led, body as Query);
  if (kind === "CONSUMER.CREATE") return replay(servers, stream, led, { ...body, name: rest });
  return failed(404, 10000, `unknown call ${call}`);
}

function failed(code: number, err_code: number, description: string): object {
  return { error: { code, err_code, description } };
}

function names({ streams }: ApiServers, { subject }: { subject?: string }): object {
  const all = [...streams.values()].filter(
    (one) =>
      subject === undefined ||
      (one.config.subjects ?? []).some((own) => own === subject || one.takes(subject.replace(/>$/, "x"))),
  );
  return { total: all.length, offset: 0, limit: 1_024, streams: all.map(({ name }) => name) };
}

function create(servers: ApiServers, found: SimStream | undefined, config: StreamConfig): object {
  if (found) {
    const same = JSON.stringify(found.config) === JSON.stringify(config);
    return same ? found.info() : failed(400, 10058, "stream name already in use");
  }
  const stream = new SimStream(config, servers.timestamp(), servers.clock.now);
  servers.streams.set(stream.name, stream);
  servers.advise("CREATED", stream.name);
  return { ...stream.info(), did_create: true };
}

function update(servers: ApiServers, stream: SimStream, config: StreamConfig): object {
  stream.config = config;
  stream.changed = true;
  servers.advise("UPDATED", stream.name);
  return stream.info();
}

function find(log: Log, { seq, next_by_subj, last_by_subj }: Query): Entry | undefined {
  if (last_by_subj !== undefined) return log.newest(last_by_subj);
  return next_by_subj === undefined ? log.get(seq ?? 0) : log.next(next_by_subj, seq ?? 1);
}

function messageGet(log: Log, query: Query): object {
  const entry = find(log, query);
  if (!entry) return failed(404, 10037, "no message found");
  const lines = entry.headers.map(([key, value]) => `${key}: ${value}\r\n`).join("");
  return {
    message: {
      subject: entry.subject,
      seq: entry.seq,
      time: entry.time,
      ...(lines && { hdrs: btoa(`NATS/1.0\r\n${lines}\r\n`) }),
      data: Buffer.from(entry.data).toString("base64"),
    },
  };
}

/** Any replica answers, with what it has. */
function directGet(servers: ApiServers, stream: SimStream | undefined, query: Query, reply: string): void {
  if (!stream) {
    servers.send({ subject: reply, code: 503 });
    return;
  }
  const log = servers.random.pick(stream.logs);
  const { batch = 1, next_by_subj = ">" } = query;
  const batched = query.batch !== undefined && atLeast(servers.version, "2.11");
  const first = find(log, query);
  if (!first) {
    servers.send({ subject: reply, code: 404 });
    return;
  }
  const rest = batched
    ? log.entries.filter(({ seq }) => seq > first.seq && log.next(next_by_subj, seq)?.seq === seq)
    : [];
  const all = [first, ...rest.slice(0, batch - 1)];
  for (const [index, entry] of all.entries()) {
    const headers: [string, string][] = [
      ["Nats-Stream", stream.name],
      ["Nats-Subject", entry.subject],
      ["Nats-Sequence", String(entry.seq)],
      ["Nats-Time-Stamp", entry.time],
    ];
    if (batched) headers.push(["Nats-Num-Pending", String(rest.length - index)]);
    servers.send({ subject: reply, headers: [...entry.headers, ...headers], data: entry.data });
  }
  if (!batched) return;
  const pending = String(rest.length + 1 - all.length);
  servers.send({ subject: reply, code: 204, headers: [["Nats-Num-Pending", pending]] });
}

/** A server's time in nanoseconds. */
function nanosOf(time: string): string {
  const [, fraction = ""] = /\.(\d+)Z$/.exec(time) ?? [];
  return `${Math.floor(Date.parse(time) / 1_000)}${fraction.padEnd(9, "0")}`;
}

/** A push consumer without a filter or acknowledgements, all that the driver makes. */
function replay(
  servers: ApiServers,
  { name: stream }: SimStream,
  log: Log,
  request: { name?: string | undefined; config?: { opt_start_seq: number; deliver_subject: string } },
): object {
  const { opt_start_seq, deliver_subject } = request.config!;
  const wanted = log.entries.filter(({ seq }) => seq >= opt_start_seq);
  servers.clock.after(1, () => {
    for (const [index, { seq, headers, data, subject, time }] of wanted.entries()) {
      const place = `1.${seq}.${index + 1}.${nanosOf(time)}.${wanted.length - index - 1}`;
      // The subscription is the inbox; the message says where it was stored.
      servers.send({
        subject: deliver_subject,
        stored: subject,
        reply: `$JS.ACK.${stream}.${request.name}.${place}`,
        headers,
        data,
      });
    }
  });
  return { num_pending: wanted.length, delivered: { consumer_seq: 0 } };
}
