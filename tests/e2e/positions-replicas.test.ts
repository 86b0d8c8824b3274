import { expect, test } from "bun:test";
import { doctor } from "../helpers/doctor.ts";
import { startInstance } from "../helpers/instances.ts";
import { natsPrograms, since } from "../helpers/store.ts";
import { storeCluster } from "../helpers/store-cluster.ts";

/** Streams with replicas: what they are worth depends on the servers, on all of them. */

const TEST_MS = 60_000;
const OLD = natsPrograms.filter((program) => !since(program, "2.10.29"));
const NEW = natsPrograms.filter((program) => since(program, "2.10.29"));
const REPLICATED = { namespaces: { chat: { history: { size: 100, replicas: 3 } } } };

test.skipIf(OLD.length === 0)(
  "replicas on an old server",
  async () => {
    const [old] = OLD;
    // One old server is enough, and it need not be the one that is connected to. (2.12 forms no cluster with 2.9.)
    const other = NEW.find((program) => !since(program, "2.12")) ?? old!;
    await using cluster = await storeCluster([other, old!, other]);
    const env = { NATS_URL: cluster.urls[0]! };
    const report = await doctor({ env, config: REPLICATED });
    expect(report.one("nats replicas")).toMatchObject({
      verdict: "failed",
      cause: expect.stringContaining(`n1 ${old!.version}`),
      fix: expect.stringContaining("nats.allowOldReplicas"),
    });
    const refused = await startInstance({ env, config: REPLICATED }).catch((error: Error) => error.message);
    expect(refused).toContain(`n1 ${old!.version}`);
    expect(refused).toContain("nats.allowOldReplicas");
    // Accepted, it is said at every start, and by the instance.
    const accepted = { ...REPLICATED, nats: { allowOldReplicas: true } };
    await using instance = await startInstance({ env, config: accepted });
    const said = instance.lines.filter(
      ({ level, message }) => level === "error" && /replicas/.test(String(message)),
    );
    expect(said).toHaveLength(1);
    const ready = (await (await fetch(`${instance.url}/readyz`)).json()) as {
      ready: boolean;
      degraded: string[];
    };
    expect(ready).toMatchObject({ ready: true, degraded: [expect.stringContaining(`n1 ${old!.version}`)] });
    expect((await doctor({ env, config: accepted })).one("nats replicas").verdict).toBe("warning");
  },
  TEST_MS,
);
