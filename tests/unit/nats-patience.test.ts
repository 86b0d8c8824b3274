import { describe, expect, test } from "bun:test";
import { RequestError, type Requests } from "../../src/broker/nats/link/requests.ts";
import { retryUntilReady } from "../../src/broker/nats/link/retry.ts";
import { StreamAdmin } from "../../src/broker/nats/streams/admin.ts";
import { PASSING } from "../../src/broker/nats/streams/api-error.ts";
import { eventStream } from "../../src/broker/nats/streams/config.ts";
import { silent } from "../../src/core/log.ts";
import { subjects } from "../../src/core/subject.ts";

const NOT_FOUND = 10059;
const WANTED = eventStream(subjects(), { replicas: 3 });
const made = { config: WANTED, created: "2026-01-02T03:04:05Z", state: { first_seq: 0, last_seq: 0 } };
/** JetStream of a cluster that answers with `error` until it was asked `times` times. */
function forming(
  error: { err_code: number } | "silent",
  step: "INFO" | "STREAM.INFO" | "STREAM.CREATE",
  times: number,
) {
  let asked = 0;
  const ask = async (subject: string) => {
    const what = subject.replace("$JS.API.", "");
    const answer = (value: object) => ({ data: new TextEncoder().encode(JSON.stringify(value)) });
    if (what.startsWith(step) && ++asked <= times) {
      if (error === "silent") throw new RequestError("timeout", subject);
      return answer({ error: { ...error, description: "not yet" } });
    }
    if (what.startsWith("STREAM.INFO"))
      return answer({ error: { err_code: NOT_FOUND, description: "none" } });
    return answer(made);
  };
  return new StreamAdmin({ ask } as unknown as Requests, silent);
}

const steps = ["INFO", "STREAM.INFO", "STREAM.CREATE"] as const;
const start = (admin: StreamAdmin, step: (typeof steps)[number]) => (): Promise<object> =>
  step === "INFO" ? admin.checkServer() : admin.ensure(WANTED);

describe("a start on a cluster that is still forming", () => {
  test.each([...steps])("waits at %s for the end of every answer that passes", async (step) => {
    const faults = ["silent" as const, ...PASSING.map((err_code) => ({ err_code }))];
    const outcomes = await Promise.all(
      faults.map((fault) => retryUntilReady(start(forming(fault, step, 1), step))),
    );
    for (const outcome of outcomes) expect(outcome).toBeDefined();
  });

  test("waits for what is silent and for what is forming as long as each is given", async () => {
    const silence = forming("silent", "INFO", 100);
    await expect(retryUntilReady(start(silence, "INFO"), { silentMs: 0 })).rejects.toThrow("timeout");
    const peers = forming({ err_code: 10005 }, "STREAM.CREATE", 100);
    await expect(retryUntilReady(start(peers, "STREAM.CREATE"), { formingMs: 0 })).rejects.toThrow("(10005)");
  });

  test("gives up at once where nothing would change", async () => {
    // Room (10047) may be asked for over and above by somebody else at that moment.
    for (const [code, withinMs] of [
      [10047, 12_000],
      [10074, 200],
      [10052, 200],
    ] as const) {
      const admin = forming({ err_code: code }, "STREAM.CREATE", 100);
      const begin = performance.now();
      await expect(retryUntilReady(start(admin, "STREAM.CREATE"))).rejects.toThrow("not yet");
      expect(performance.now() - begin).toBeLessThan(withinMs);
    }
  });
});
