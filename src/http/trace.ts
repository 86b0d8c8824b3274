import { CommandError } from "../core/errors.ts";
import { utf8Encoder } from "../core/text.ts";
import type { Operations } from "../gateway/gateway.ts";
import { type TraceBatch, traceRequest } from "../gateway/trace/request.ts";
import type { TraceListener, TraceState } from "../gateway/trace/traces.ts";
import type { RequestContext } from "../runtime/runtime.ts";

/** Pieces that may wait for a reader; what comes while so many do is left out, and counted. */
const MOST_WAITING = 64;

/** Silence after which a comment is sent, ms: proxies end answers that say nothing, often after a minute. */
const QUIET_MS = 15_000;

/** Query parameters that are not the trace's own. */
const FOREIGN: ReadonlySet<string> = new Set(["api_key"]);

/**
 * Answers `GET …/trace?user=…&channel=…&client=…&instance=…&payloads=true` with server-sent events: `state` (who is
 * looked at), `step` and `dropped`. Whether the asker may is decided before.
 * @param payloads whether it may see bodies of messages, where the settings allow that
 */
export async function traceStream(
  operations: Pick<Operations, "trace">,
  request: Request,
  context: Pick<RequestContext, "idleTimeout"> | undefined,
  payloads: boolean,
): Promise<Response> {
  const given = [...new URL(request.url).searchParams].filter(([name]) => !FOREIGN.has(name));
  const asked = traceRequest.safeParse(
    Object.fromEntries(given.map(([name, value]) => [name, name === "payloads" ? isTrue(value) : value])),
  );
  if (!asked.success) return refusal(400, asked.error.issues[0]!.message);
  const stream = new TraceStream();
  try {
    const end = await operations.trace({ ...asked.data, payloads: asked.data.payloads && payloads }, stream);
    stream.begin(end, request.signal);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return refusal(429, error.message);
  }
  context?.idleTimeout(0);
  return new Response(new ReadableStream(stream, { highWaterMark: MOST_WAITING }), {
    headers: {
      "content-type": "text/event-stream",
      "cache-control": "no-store",
      // For nginx, which would collect what comes.
      "x-accel-buffering": "no",
    },
  });
}

const isTrue = (value: string) => (value === "" || value === "true" || value === "1" ? true : value);

function refusal(status: number, message: string): Response {
  return Response.json({ error: { code: status, message } }, { status });
}

/** One trace on its way to a reader. */
class TraceStream implements UnderlyingDefaultSource<Uint8Array>, TraceListener {
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** What came before the answer had a body. */
  #early = "";
  #end: (() => void) | undefined;
  #quiet: ReturnType<typeof setInterval> | undefined;
  #over = false;
  /** Steps that were left out because the reader is slow. */
  #unread = 0;

  begin(end: () => void, signal: AbortSignal): void {
    this.#end = end;
    this.#quiet = setInterval(() => this.#send(":\n\n"), QUIET_MS);
    signal.addEventListener("abort", () => this.cancel(), { once: true });
    if (this.#over || signal.aborted) this.cancel();
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
    if (this.#over) controller.close();
    else this.#send(this.#early);
  }

  /** The reader is gone. */
  cancel(): void {
    this.#over = true;
    clearInterval(this.#quiet);
    this.#end?.();
  }

  state(state: TraceState): void {
    this.#send(eventOf("state", state));
  }

  batch({ instance, region, dropped, steps }: TraceBatch): void {
    const lost = dropped + this.#unread;
    const events = steps.map((step) => eventOf("step", { instance, region, ...step }));
    if (lost > 0) events.push(eventOf("dropped", { instance, dropped: lost }));
    if (this.#send(events.join(""))) this.#unread = 0;
    else this.#unread = lost + steps.length;
  }

  closed(): void {
    this.cancel();
    try {
      this.#controller?.close();
    } catch {
      // The reader went first.
    }
  }

  /** Returns false when the reader is too slow for it. */
  #send(text: string): boolean {
    if (this.#over || text === "") return true;
    if (!this.#controller) {
      this.#early += text;
      return true;
    }
    if ((this.#controller.desiredSize ?? 0) <= 0) return false;
    this.#controller.enqueue(utf8Encoder.encode(text));
    return true;
  }
}

function eventOf(event: string, data: object): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
