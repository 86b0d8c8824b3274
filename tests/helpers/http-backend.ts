import { type HttpEndpoint, httpCallouts } from "../../src/auth/callout/http.ts";
import { createLogger } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import type { Tracing } from "../../src/core/tracing.ts";
import { bound } from "./bound.ts";

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** As it was written. */
  readonly body: string;
}

/** What a backend answers: JSON text, or anything else HTTP can say. */
type Answer = (asked: Asked) => string | Response | Promise<string | Response>;

/** A backend that is asked over HTTP, and keeps what it was asked. */
export class HttpBackend implements AsyncDisposable {
  readonly url: string;
  readonly asked: Asked[] = [];
  answer: Answer;
  readonly #server: ReturnType<typeof Bun.serve>;

  constructor(answer: Answer = () => '{"result":{}}') {
    this.answer = answer;
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        const { pathname, search } = new URL(request.url);
        const asked = {
          method: request.method,
          path: pathname + search,
          headers: Object.fromEntries(request.headers),
          body: await request.text(),
        };
        this.asked.push(asked);
        const answer = await this.answer(asked);
        const headers = { "content-type": "application/json" };
        return typeof answer === "string" ? new Response(answer, { headers }) : answer;
      },
    });
    this.url = `http://127.0.0.1:${this.#server.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}

/** An endpoint as the settings have it when they say nothing but where it is. */
function endpoint(url: string, changes: Partial<HttpEndpoint> = {}): HttpEndpoint {
  return {
    ...{ name: "backend", url, timeoutMs: 5_000, headers: [], emulatedHeaders: [], addHeaders: {} },
    ...{ meta: false, base64: false, statuses: new Map(), inFlight: 100, answerBytes: 262_144 },
    ...changes,
  };
}

/** Asks a backend as an instance does; with what is logged and counted. */
export function asking(url: string, changes: Partial<HttpEndpoint> = {}, tracing?: Tracing) {
  const lines: Record<string, unknown>[] = [];
  const stats = new Stats();
  const log = createLogger("debug", (line) => lines.push(line));
  const callouts = bound(httpCallouts({ endpoint: endpoint(url, changes), stats, tracing, log }));
  return { callouts, lines, stats };
}
