import { createHmac } from "node:crypto";
import { rawItems, rawMember } from "../../../src/core/json-text.ts";
import type { EventEndpoint } from "../../../src/webhooks/event-target.ts";
import { SHOP_KEY } from "../../gateway/clients.ts";
import { until } from "../until.ts";

const SECRET = `whsec_${Buffer.alloc(32, "s").toString("base64")}`;

function isPushers(headers: Headers, body: Buffer): boolean {
  const signature = createHmac("sha256", SHOP_KEY.secret).update(body).digest("hex");
  return headers.get("x-pusher-key") === SHOP_KEY.key && headers.get("x-pusher-signature") === signature;
}

/** As Standard Webhooks has it. */
function isStandard(headers: Headers, body: Buffer): boolean {
  const signed = `${headers.get("webhook-id")}.${headers.get("webhook-timestamp")}.`;
  const key = Buffer.from(SECRET.slice("whsec_".length), "base64");
  const signature = createHmac("sha256", key).update(signed).update(body).digest("base64");
  return headers.get("webhook-signature") === `v1,${signature}`;
}

/** A server of an application that keeps what it was posted, as the texts they were. */
export class WebhookReceiver implements AsyncDisposable {
  /** For events of the Pusher protocol. */
  readonly url: string;
  /** For all others. */
  readonly endpoint: EventEndpoint;
  readonly #events: string[] = [];
  /** Requests whose signature is not that of their body. */
  forged = 0;
  readonly #server: ReturnType<typeof Bun.serve>;

  constructor() {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        const body = Buffer.from(await request.arrayBuffer());
        const isSigned = request.url === this.url ? isPushers : isStandard;
        if (!isSigned(request.headers, body)) this.forged++;
        const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(body);
        this.#events.push(...rawItems(rawMember(text, "events")!));
        return new Response();
      },
    });
    this.url = `http://127.0.0.1:${this.#server.port}/hook`;
    this.endpoint = {
      ...{ name: "all", url: `http://127.0.0.1:${this.#server.port}/events`, secret: SECRET },
      ...{ events: ["message"], channelPrefix: "", batch: true, headers: {} },
    };
  }

  /** The first event of which this is true, as its text; waits for it. */
  async event(accept: (event: string) => boolean): Promise<string> {
    return await until(() => this.#events.find(accept));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}
