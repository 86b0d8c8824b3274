import { Buffer } from "node:buffer";
import { type Context, Hono } from "hono";
import type { Gateway } from "../gateway/gateway.ts";
import type { Frame } from "../protocol/codec.ts";
import { decodeEmulation } from "../protocol/emulation.ts";
import { STREAM_CODECS, type StreamTransport } from "../protocol/streams.ts";
import type { RequestContext } from "../runtime/runtime.ts";
import { bodyBytes, bodyText } from "./body.ts";
import { cors } from "./cors.ts";
import type { Entrance } from "./entrance.ts";
import type { OriginPolicy } from "./origin.ts";
import { StreamSocket } from "./stream-socket.ts";
import type { Streams } from "./streams.ts";

export interface StreamRoutesDeps {
  readonly gateway: Gateway;
  readonly entrance: Entrance;
  readonly originAllowed: OriginPolicy;
  readonly streams: Streams;
  /** Longest frame a client may send, here as the body of a request. */
  readonly maxFrameBytes: number;
}

type Env = { Bindings: RequestContext };

/** Nothing between may keep, change or hold back any part of the stream. */
const UNBUFFERED = { "cache-control": "no-store, no-transform", "x-accel-buffering": "no" };

const BINARY = "application/octet-stream";
const EVENTS = "text/event-stream; charset=utf-8";

/**
 * The transports without WebSocket: the server speaks in an endless answer, the client in requests of their own
 * (`POST /emulation`), which may reach any instance.
 */
export function streamRoutes(deps: StreamRoutesDeps): Hono<Env> {
  const { gateway, entrance, streams, maxFrameBytes } = deps;
  const app = new Hono<Env>();
  const allowed = cors(deps.originAllowed, entrance);
  for (const path of ["/connection/http_stream", "/connection/sse", "/emulation"]) app.use(path, allowed);

  app.post("/connection/http_stream", async (c) => {
    const frame = await bodyFrame(c, maxFrameBytes);
    return open(c, "http_stream", frame, isBinary(c) ? BINARY : "application/json; charset=utf-8");
  });
  app.get("/connection/sse", (c) => open(c, "sse", query(c, maxFrameBytes), EVENTS));
  app.post("/connection/sse", async (c) => open(c, "sse", await bodyText(c.req.raw, maxFrameBytes), EVENTS));
  app.post("/emulation", async (c) => {
    // A frame within a JSON string: quotes and line ends are escaped.
    const body = await bodyFrame(c, maxFrameBytes * 2 + ENVELOPE_BYTES);
    const commands = typeof body === "number" ? undefined : decodeEmulation(body);
    if (commands ? Buffer.byteLength(commands.data) > maxFrameBytes : body === 413) {
      return c.text("too long\n", 413);
    }
    if (!commands) return c.text("not an emulation request\n", 400);
    const outcome = await gateway.emulate(commands);
    if (outcome === "busy") return c.text("overloaded\n", 503, { "retry-after": "1" });
    if (outcome === "unknown") return c.text("no such session\n", 404);
    return c.body(null, 204);
  });

  /** Lets the client in and begins the answer. @param frame its first one, or the status that refuses it */
  function open(c: Context<Env>, transport: StreamTransport, frame: Frame | 400 | 413, contentType: string) {
    if (typeof frame === "number") return entrance.refuse("handshake", frame, "No commands can be read.");
    // Hono takes HEAD for GET; it must not open anything.
    if (c.req.raw.method === "HEAD")
      return new Response(null, { status: 405, headers: { allow: "GET, POST" } });
    const admitted = entrance.admit(c.req.raw.headers, c.env.ip);
    if (admitted instanceof Response) return admitted;
    const protocol = typeof frame === "string" ? "centrifuge-json" : "centrifuge-protobuf";
    const session = crypto.randomUUID();
    const handler = gateway.accept({ protocol, transport, session, ...admitted });
    const socket = new StreamSocket(transport, handler, STREAM_CODECS[transport][protocol], c.env, streams);
    const body = new ReadableStream<Uint8Array>(socket, { highWaterMark: 0 });
    handler.opened(socket);
    handler.message(socket, frame);
    return new Response(body, { headers: { "content-type": contentType, ...UNBUFFERED } });
  }

  return app;
}

/** What an emulation request is longer than its data, bytes. */
const ENVELOPE_BYTES = 1_024;

/** Protobuf, by its content type; everything else is JSON. */
function isBinary(c: Context): boolean {
  return c.req.header("content-type")?.startsWith(BINARY) === true;
}

function bodyFrame(c: Context, maxBytes: number): Promise<Frame | 400 | 413> {
  return isBinary(c) ? bodyBytes(c.req.raw, maxBytes) : bodyText(c.req.raw, maxBytes);
}

/** The first frame of a request without a body. */
function query(c: Context, maxBytes: number): string | 400 | 413 {
  const text = c.req.query("cf_connect");
  if (text === undefined) return 400;
  return Buffer.byteLength(text) > maxBytes ? 413 : text;
}
