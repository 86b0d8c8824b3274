/** A span as OTLP/HTTP writes it in JSON, with the instance that it is of. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly resource: Readonly<Record<string, unknown>>;
}

type Values = readonly { readonly key: string; readonly value: Record<string, unknown> }[];

interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: Values };
    readonly scopeSpans: readonly { readonly spans: readonly (ReceivedSpan & { attributes: Values })[] }[];
  }[];
}

/** A collector: it takes spans over OTLP/HTTP in JSON, and counts what comes as Protobuf. */
export class OtlpReceiver implements AsyncDisposable {
  readonly url: string;
  readonly spans: ReceivedSpan[] = [];
  /** Requests, by what they are of. */
  readonly requests: { readonly path: string; readonly type: string; readonly key: string | null }[] = [];
  /** What is answered. */
  status = 200;
  readonly #server: ReturnType<typeof Bun.serve>;

  constructor() {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        const type = request.headers.get("content-type") ?? "";
        const key = request.headers.get("x-key");
        this.requests.push({ path: new URL(request.url).pathname, type, key });
        if (this.status !== 200) return new Response("", { status: this.status });
        if (type !== "application/json")
          return new Response(new Uint8Array(), { headers: { "content-type": type } });
        this.#take((await request.json()) as Export);
        return Response.json({});
      },
    });
    this.url = `http://127.0.0.1:${this.#server.port}`;
  }

  /** Spans of one trace. */
  of(trace: string): readonly ReceivedSpan[] {
    return this.spans.filter(({ traceId }) => traceId === trace);
  }

  /** For an instance that is to send here at once. */
  get env() {
    return {
      OTEL_EXPORTER_OTLP_ENDPOINT: this.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_HEADERS: "x-key=a%20b",
      OTEL_BSP_SCHEDULE_DELAY: "50",
    };
  }

  #take({ resourceSpans }: Export): void {
    for (const { resource, scopeSpans } of resourceSpans) {
      for (const { attributes, ...span } of scopeSpans.flatMap(({ spans }) => spans))
        this.spans.push({ ...span, facts: plain(attributes), resource: plain(resource.attributes) });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}

function plain(values: Values): Record<string, unknown> {
  return Object.fromEntries(values.map(({ key, value }) => [key, Object.values(value)[0]]));
}
