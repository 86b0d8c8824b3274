import Pusher from "pusher";

/** What an app's server was told, in order. */
export interface WebhookEvent extends Record<string, unknown> {
  readonly name: string;
  readonly channel: string;
}

/** An app's server as webhooks see it, with the stock SDK to check what comes. Its port stays the same. */
export class WebhookEndpoint implements AsyncDisposable {
  readonly url: string;
  readonly events: WebhookEvent[] = [];
  /** Requests, with or without success. */
  requests = 0;
  /** Requests whose signature was wrong. */
  forged = 0;
  /** What to answer; default: 200. */
  answer: () => Response | Promise<Response> = () => new Response("ok");
  readonly #sdk: Pusher;
  #port = 0;
  #server: ReturnType<typeof Bun.serve> | undefined;

  constructor(key: string, secret: string) {
    this.#sdk = new Pusher({ appId: "1", key, secret, host: "127.0.0.1" });
    this.up();
    this.url = `http://127.0.0.1:${this.#port}/hook`;
  }

  up(): void {
    this.#server ??= Bun.serve({
      hostname: "127.0.0.1",
      port: this.#port,
      fetch: async (request) => {
        this.requests++;
        const webhook = this.#sdk.webhook({
          headers: Object.fromEntries(request.headers),
          rawBody: await request.text(),
        });
        const answer = await this.answer();
        if (!webhook.isValid()) this.forged++;
        else if (answer.ok) this.events.push(...(webhook.getEvents() as unknown as WebhookEvent[]));
        return answer;
      },
    });
    this.#port = this.#server.port ?? 0;
  }

  async down(): Promise<void> {
    await this.#server?.stop(true);
    this.#server = undefined;
  }

  /** Events of one channel: their names, and whom they are about. */
  of(channel: string): string[] {
    return this.events
      .filter((event) => event.channel === channel)
      .map(({ name, user_id }) => (user_id === undefined ? name : `${name} ${user_id}`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }
}
