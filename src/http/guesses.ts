import { KeyedRates } from "../core/keyed-rates.ts";
import { Stats } from "../core/stats.ts";

/** Wrong keys, signatures and secrets a second from one address that are answered with 401. */
const WRONG = { perSecond: 5, burst: 20 };

/** Whatever asks for a key, a signature or a token. */
const KEYED = /^\/(api|apps|admin|console\/api|metrics)(\/|$)/;
/** Where people sign in: with what they have chosen, which may be short. */
const OF_PEOPLE = /^\/(admin|console\/api)(\/|$)/;

/** Whether a path is checked by a key, a signature or a token. */
export const isKeyed = (path: string): boolean => KEYED.test(path);

/**
 * Slows down who guesses, by address. Where people sign in, an address that has guessed too often is not heard at all, so that a
 * right guess is not told from a wrong one; where only machines do, whose keys nobody guesses, right keys go on.
 */
export class Guesses {
  readonly #stats: Stats;
  readonly #wrong = new KeyedRates(WRONG);

  constructor(stats: Stats) {
    this.#stats = stats;
  }

  /** Answers a request, or refuses it. @param key of the address */
  async answer(path: string, key: string, route: () => Response | Promise<Response>): Promise<Response> {
    if (!KEYED.test(path)) return await route();
    const paid = OF_PEOPLE.test(path);
    // Paid before it is looked at: guesses at the same time are as many as others.
    if (paid && !this.#wrong.take(key)) return this.#refusal();
    const answer = await route();
    if (answer.status !== 401) {
      if (paid) this.#wrong.charge(key, -1);
      return answer;
    }
    Stats.bump(this.#stats.rejected, "api_key");
    return paid || this.#wrong.take(key) ? answer : this.#refusal();
  }

  #refusal(): Response {
    Stats.bump(this.#stats.rejected, "api_key_rate");
    return new Response("too many requests\n", { status: 429, headers: { "retry-after": "1" } });
  }
}
