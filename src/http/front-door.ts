import { KeyedRates } from "../core/keyed-rates.ts";
import type { Rejection } from "../core/labels.ts";
import { rateOf } from "../core/limits.ts";
import { Stats } from "../core/stats.ts";
import { addressKey } from "../gateway/instance/admission.ts";
import type { RequestContext } from "../runtime/runtime.ts";
import type { ClientIp } from "./client-ip.ts";
import { Guesses, isKeyed } from "./guesses.ts";
import { KeptSockets } from "./kept-sockets.ts";

export interface FrontDoorOptions {
  readonly clientIp: ClientIp;
  readonly stats: Stats;
  /** Plain HTTP connections kept open between requests: all, and of one address. */
  readonly keptSockets: number;
  readonly keptSocketsPerIp: number;
  /** Requests a second of one address that need no key; 0: no limit. */
  readonly requestsPerIpPerSecond: number;
  /** Whether descriptors are about to run out. */
  readonly tight: () => boolean;
}

/** What a request with commands costs whose connection does not exist: guesses are slow. */
const GUESS_COST = 10;

/** Asked by machines, and never refused. */
const HEALTH: ReadonlySet<string> = new Set(["/healthz", "/readyz", "/metrics"]);

/** For whatever a browser may take for a page; those that are pages bring a policy of their own. */
const SECURITY_HEADERS = {
  "x-content-type-options": "nosniff",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
};

/** What holds for every plain HTTP request, whatever it asks for: rates of addresses, connections kept, headers. */
export class FrontDoor {
  #options: FrontDoorOptions;
  readonly #sockets: KeptSockets;
  #requests: KeyedRates | undefined;
  readonly #guesses: Guesses;

  constructor(options: FrontDoorOptions) {
    const { keptSockets, keptSocketsPerIp, requestsPerIpPerSecond } = options;
    this.#options = options;
    this.#guesses = new Guesses(options.stats);
    this.#sockets = new KeptSockets({ most: keptSockets, mostOfAddress: keptSocketsPerIp });
    const rate = rateOf(requestsPerIpPerSecond);
    this.#requests = rate && new KeyedRates(rate);
  }

  /** From now on these hold; connections that are kept are counted on. */
  reload(options: FrontDoorOptions): void {
    const { keptSockets, keptSocketsPerIp, requestsPerIpPerSecond } = options;
    if (requestsPerIpPerSecond !== this.#options.requestsPerIpPerSecond) {
      const rate = rateOf(requestsPerIpPerSecond);
      this.#requests = rate && new KeyedRates(rate);
    }
    this.#options = options;
    this.#sockets.limit(keptSockets, keptSocketsPerIp);
  }

  /** Answers a request that opens no WebSocket. @param route answers what is let through */
  async answer(
    request: Request,
    context: RequestContext,
    route: (request: Request, context: RequestContext) => Response | Promise<Response>,
  ): Promise<Response> {
    if (request.headers.has("upgrade")) return await route(request, context);
    const path = new URL(request.url).pathname;
    const ip = this.#options.clientIp(request.headers, context.ip);
    const key = addressKey(ip);
    const public_ = !HEALTH.has(path) && !isKeyed(path);
    const refused = public_ && this.#requests?.take(key) === false;
    const answered = refused
      ? this.#tooMany("request_rate")
      : this.#slowed(path, key, await this.#guesses.answer(path, key, () => route(request, context)));
    return this.#finished(answered, context, ip);
  }

  /** Slows down who guesses names of connections. */
  #slowed(path: string, key: string, answer: Response): Response {
    if (answer.status === 404 && path === "/emulation") this.#requests?.take(key, GUESS_COST - 1);
    return answer;
  }

  #tooMany(reason: Rejection): Response {
    Stats.bump(this.#options.stats.rejected, reason);
    return new Response("too many requests\n", { status: 429, headers: { "retry-after": "1" } });
  }

  #finished(answer: Response, context: RequestContext, ip: string): Response {
    const { headers } = answer;
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) {
      if (!headers.has(name)) headers.set(name, value);
    }
    // Streams end with their connection anyway, and were let in by admission.
    if (answer.headers.get("x-accel-buffering") === "no") return answer;
    // Who speaks for others is a proxy, whose connections are as many as it needs.
    const address = ip === context.ip ? addressKey(ip) : undefined;
    if (this.#options.tight() || !this.#sockets.keeps(context.peer, address))
      headers.set("connection", "close");
    return answer;
  }
}
