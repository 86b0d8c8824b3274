import { utf8Decoder } from "../../../core/text.ts";
import { type Envelope, type StoredMessage, storedEnvelope } from "../link/headers.ts";
import type { Link } from "../link/link.ts";
import { RequestError, type Requests } from "../link/requests.ts";
import { Store } from "./store.ts";

const NO_MESSAGE = 404;

/**
 * Reads one stream where it is led, by `STREAM.MSG.GET`. A direct get may be answered by any copy in the world: a copy
 * of a stream that allows them answers them in its name, whatever its own configuration says (`mirror_direct` is
 * taken over from the origin, nats-server 2.9 to 2.12). What is just stored only the leader knows for certain.
 */
export class LeaderStore extends Store {
  readonly #requests: Requests;
  readonly #subject: string;

  constructor(link: Link, requests: Requests, stream: string) {
    super(link, requests, stream);
    this.#requests = requests;
    this.#subject = `$JS.API.STREAM.MSG.GET.${stream}`;
  }

  override get batches(): boolean {
    return false;
  }

  protected override async get(query: Record<string, unknown>, timeoutMs: number): Promise<Envelope | null> {
    const { data } = await this.#requests.ask(this.#subject, JSON.stringify(query), timeoutMs);
    const answer = JSON.parse(utf8Decoder.decode(data)) as {
      message?: StoredMessage;
      error?: { code: number };
    };
    if (answer.message) return storedEnvelope(answer.message);
    if (answer.error?.code === NO_MESSAGE) return null;
    throw new RequestError("absent", this.#subject);
  }
}
