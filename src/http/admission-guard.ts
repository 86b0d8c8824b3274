import type { Logger } from "../core/log.ts";
import { Stats } from "../core/stats.ts";
import type { Handshake } from "../gateway/dialect.ts";
import { type Admission, addressKey } from "../gateway/instance/admission.ts";
import type { ClientIp } from "./client-ip.ts";
import type { Health } from "./health.ts";

export interface EntranceDeps {
  readonly admission: Admission;
  readonly health: Health;
  readonly clientIp: ClientIp;
  readonly stats: Stats;
  readonly log: Logger;
}

/** When to come back after a refusal that has no time of its own; spread, so that not all come at once. */
const retryLater = () => String(5 + Math.floor(Math.random() * 11));

/** Who comes in, whatever the transport; refusals are counted by reason. */
export class AdmissionGuard {
  readonly #deps: EntranceDeps;

  constructor(deps: EntranceDeps) {
    this.#deps = deps;
  }

  refuse(reason: string, status: number, text: string, headers: Record<string, string> = {}): Response {
    Stats.bump(this.#deps.stats.rejected, reason);
    this.#deps.log.debug("connection refused", { reason });
    return new Response(`${text}\n`, {
      status,
      headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", ...headers },
    });
  }

  /**
   * Counts one connection in, or answers why not. Whoever was let in is given back once, with `admission.release`.
   * @param peer address of the TCP peer
   */
  admit(headers: Headers, peer: string): Response | Pick<Handshake, "ip" | "admissionKey" | "origin"> {
    const { admission, health, clientIp } = this.#deps;
    if (health.draining()) {
      return this.refuse("draining", 503, "This instance is shutting down.", { "retry-after": "1" });
    }
    if (health.overload() === "refusing") {
      return this.refuse("overload", 503, "This instance is overloaded.", { "retry-after": retryLater() });
    }
    const ip = clientIp(headers, peer);
    const admissionKey = addressKey(ip);
    const verdict = admission.admit(admissionKey);
    if (verdict === "ip_rate") {
      const waitSeconds = Math.ceil(admission.retryAfterMs(admissionKey) / 1000);
      return this.refuse(verdict, 429, "Too many new connections from this address.", {
        "retry-after": String(waitSeconds),
      });
    }
    if (verdict !== "ok") {
      return this.refuse(verdict, 503, "No more connections can be taken.", { "retry-after": retryLater() });
    }
    return { ip, admissionKey, origin: headers.get("origin") ?? undefined };
  }
}
