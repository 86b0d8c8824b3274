import { Buffer } from "node:buffer";
import { type Context, Hono } from "hono";
import type { CentrifugeDialects } from "../../centrifuge/dialect.ts";
import { Closes, reconnects } from "../../core/errors.ts";
import { Stats } from "../../core/stats.ts";
import { fromHeaders, type Tracing } from "../../core/tracing.ts";
import type { Gateway } from "../../gateway/gateway.ts";
import { decodeEmulation } from "../../protocol/centrifuge/emulation.ts";
import { STREAM_TRANSPORTS, type StreamTransport } from "../../protocol/centrifuge/stream-codecs.ts";
import type { Frame } from "../../protocol/codec.ts";
import type { RequestContext } from "../../runtime/runtime.ts";
import type { AdmissionGuard } from "../admission-guard.ts";
import { type BodyRefusal, bodyBytes, bodyText } from "../body.ts";
import type { CompressionPolicy } from "../compression.ts";
import { cors } from "../cors.ts";
import type { OriginPolicy } from "../origin.ts";
import { readEventId } from "./event-ids.ts";
import { StreamSocket } from "./socket.ts";
import type { StreamTransports } from "./transports.ts";

export interface StreamRoutesDeps {
  readonly gateway: Gateway;
  readonly centrifuge: CentrifugeDialects;
  readonly guard: AdmissionGuard;
  readonly originAllowed: OriginPolicy;
  readonly streams: StreamTransports;
  readonly compression: CompressionPolicy;
  readonly stats: Stats;
  readonly tracing: Tracing | undefined;
  /** Longest frame a client may send, here as the body of a request. */
  readonly maxFrameBytes: number;
  /** Added to each stream's answer. */
  readonly headers: Readonly<Record<string, string>>;
}

type Env = { Bindings: RequestContext };

/** Nothing between may keep, change or hold back any part of the stream. */
const UNBUFFERED = { "cache-control": "no-store, no-transform", "x-accel-buffering": "no" };

const COMPRESSED = { "content-encoding": "gzip", vary: "accept-encoding" };

const BINARY = "application/octet-stream";
const JSON_LINES = "application/json; charset=utf-8";
const EVENTS = "text/event-stream; charset=utf-8";

/** Transports of browsers' `EventSource`, which can do nothing but GET. */
const EVENT_SOURCES: ReadonlySet<StreamTransport> = new Set<StreamTransport>(["sse", "uni_sse"]);

/** Statuses of one-way connects that are refused for good; 403 for all others. */
const REFUSED: Readonly<Record<number, 400 | 401>> = {
  [Closes.invalidToken.code]: 401,
  [Closes.badRequest.code]: 400,
};

/**
 * The transports without WebSocket: the server speaks in an endless answer, the client in requests of their own
 * (`POST /emulation`), which may reach any instance.
 */
export function streamRoutes(deps: StreamRoutesDeps): Hono<Env> {
  const { gateway, guard, stats, tracing, maxFrameBytes } = deps;
  const app = new Hono<Env>();
  const allowed = cors(deps.originAllowed, guard);
  for (const transport of STREAM_TRANSPORTS) app.use(`/connection/${transport}`, allowed);
  app.use("/emulation", allowed);

  for (const transport of STREAM_TRANSPORTS) {
    const path = `/connection/${transport}`;
    app.post(path, async (c) => openStream(deps, c, transport, await bodyFrame(c, maxFrameBytes)));
    if (!EVENT_SOURCES.has(transport)) continue;
    app.get(path, (c) => {
      const text = c.req.query("cf_connect");
      if (text === undefined && transport === "sse") return openStream(deps, c, transport, 400);
      return openStream(
        deps,
        c,
        transport,
        Buffer.byteLength(text ?? "") > maxFrameBytes ? 413 : (text ?? ""),
      );
    });
  }

  app.post("/emulation", async (c) => {
    // A frame within a JSON string: quotes and line ends are escaped.
    const body = await bodyFrame(c, maxFrameBytes * 2 + ENVELOPE_BYTES);
    const commands = typeof body === "number" ? undefined : decodeEmulation(body);
    if (commands ? Buffer.byteLength(commands.data) > maxFrameBytes : body === 413) {
      return c.text("too long\n", 413);
    }
    if (body === 408) return c.text("the body took too long\n", 408, { connection: "close" });
    if (!commands) return c.text("not an emulation request\n", 400);
    const from = fromHeaders(tracing, "client", (name) => c.req.header(name));
    const outcome = await gateway.emulate(
      { ...commands, from },
      guard.addressOf(c.req.raw.headers, c.env.ip),
    );
    Stats.bump(stats.emulated, outcome);
    if (outcome === "limited") return c.text("too many requests\n", 429, { "retry-after": "1" });
    if (outcome === "busy") return c.text("overloaded\n", 503, { "retry-after": "1" });
    if (outcome === "unknown") return c.text("no such session\n", 404);
    return c.body(null, 204);
  });

  return app;
}

/** What is wrong with commands that cannot be read. */
const UNREADABLE = {
  400: "The body of the request broke off, or is no text in UTF-8.",
  408: "The body of the request took too long.",
  413: "The body of the request is longer than limits.frame.",
} as const;

/** Lets the client in and begins the answer. @param frame its first one, or the status that refuses it */
async function openStream(
  { gateway, centrifuge, guard, streams, compression, headers: added }: StreamRoutesDeps,
  c: Context<Env>,
  transport: StreamTransport,
  frame: Frame | BodyRefusal,
): Promise<Response> {
  const { headers, method } = c.req.raw;
  if (typeof frame === "number") {
    if (frame === 413) guard.mistaken(headers, c.env.ip, "a frame longer than limits.frame");
    return guard.refuse("handshake", frame, UNREADABLE[frame]);
  }
  // Hono takes HEAD for GET; it must not open anything.
  if (method === "HEAD") return new Response(null, { status: 405, headers: { allow: "GET, POST" } });
  const admitted = guard.admit(headers, c.env.ip);
  if (admitted instanceof Response) return transport === "uni_sse" ? later(admitted) : admitted;
  const protocol = typeof frame === "string" ? "centrifuge-json" : "centrifuge-protobuf";
  const dialect = centrifuge.stream(transport, protocol);
  const { codec } = dialect;
  const handler = gateway.accept(
    {
      ...(codec.unidirectional
        ? { resume: readEventId(headers.get("last-event-id")) }
        : { session: crypto.randomUUID() }),
      ...admitted,
      transport,
    },
    dialect,
  );
  const gzip = compression.stream(headers);
  const socket = new StreamSocket({ transport, codec, gzip }, handler, c.env, streams);
  const body = new ReadableStream<Uint8Array>(socket, { highWaterMark: 0 });
  handler.opened(socket);
  handler.message(socket, frame);
  const refused = await socket.begun;
  if (refused && !reconnects(refused.code)) {
    return c.json(refused, REFUSED[refused.code] ?? 403, { "cache-control": "no-store" });
  }
  const type = EVENT_SOURCES.has(transport) ? EVENTS : isBinary(c) ? BINARY : JSON_LINES;
  const encoding = gzip ? COMPRESSED : {};
  return new Response(body, { headers: { "content-type": type, ...UNBUFFERED, ...encoding, ...added } });
}

/** An `EventSource` gives up for ever after any other status: it is sent away with an empty stream instead. */
function later(refusal: Response): Response {
  const seconds = Number(refusal.headers.get("retry-after") ?? 5);
  return new Response(`retry: ${seconds * 1000}\n\n`, { headers: { "content-type": EVENTS, ...UNBUFFERED } });
}

/** What an emulation request is longer than its data, bytes. */
const ENVELOPE_BYTES = 1_024;

/** Protobuf, by its content type; everything else is JSON. */
function isBinary(c: Context): boolean {
  return c.req.header("content-type")?.startsWith(BINARY) === true;
}

function bodyFrame(c: Context, maxBytes: number): Promise<Frame | BodyRefusal> {
  return isBinary(c) ? bodyBytes(c.req.raw, maxBytes) : bodyText(c.req.raw, maxBytes);
}
