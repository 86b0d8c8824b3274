import { connect } from "nats";
import { certificates } from "../helpers/certificates.ts";
import { startInstance } from "../helpers/instances.ts";
import { type NatsProgram, withCopies } from "../helpers/store.ts";
import { until } from "../helpers/until.ts";
import { FAULTS_OF_CLIENTS } from "./faults-clients.ts";
import { FAULTS_OF_REGIONS } from "./faults-regions.ts";
import { type Fault, joined, once } from "./victim.ts";

const WEBHOOK_SECRET = `whsec_${Buffer.alloc(32, 9).toString("base64")}`;

export const FAULTS: readonly Fault[] = [
  ...FAULTS_OF_CLIENTS,
  ...FAULTS_OF_REGIONS,
  { alert: "TrunklineDown", what: "the instance is killed", make: once(({ instance }) => instance.kill()) },
  { alert: "TrunklineBrokerAway", what: "NATS is killed", make: once(({ nats }) => nats.kill()) },
  { alert: "TrunklinePresencePartial", what: "Redis is killed", make: once(({ redis }) => redis.kill()) },
  {
    alert: "TrunklineRestarting",
    what: "the instance is killed and started again and again",
    async make(victim) {
      await victim.instance.kill();
      await victim.restart();
      await Bun.sleep(2_000);
    },
  },
  {
    alert: "TrunklineNearlyFull",
    what: "nine of ten connections are taken",
    options: { config: { limits: { connections: 10 } } },
    make: once(async (victim) => {
      for (let n = 0; n < 9; n++) await joined(victim, `user-${n}`);
    }),
  },
  {
    alert: "TrunklineTurningAway",
    what: "one address connects far more often than it may",
    options: { config: { limits: { connectsPerIpPerSecond: 1, connectsPerIpBurst: 1 } } },
    async make({ instance }) {
      const headers = { upgrade: "websocket", connection: "upgrade", "sec-websocket-version": "13" };
      const key = { "sec-websocket-key": Buffer.alloc(16, 1).toString("base64") };
      for (let n = 0; n < 5; n++) {
        await fetch(`${instance.url}/connection/websocket`, { headers: { ...headers, ...key } }).catch(
          () => {},
        );
      }
      await Bun.sleep(300);
    },
  },
  {
    alert: "TrunklineMessagesMissing",
    what: "clients come back to a stream that is another one",
    async make(victim, round) {
      const client = await joined(victim, `user-${round}`);
      await client.subscribe("chat:room", { recoverable: true, since: { epoch: "long-gone", offset: 5 } });
    },
  },
  {
    alert: "TrunklineEpochChanged",
    what: "a stream is deleted",
    make: once(async (victim) => {
      await joined(victim, "ann", "chat:room");
      const nc = await connect({ servers: victim.nats.url });
      await (await nc.jetstreamManager()).streams.delete("RT_chat");
      await nc.close();
    }),
  },
  {
    alert: "TrunklineEventsPending",
    what: "a durable consumer of events does not acknowledge 10,500 of them",
    make: once(async ({ nats }) => {
      const nc = await connect({ servers: nats.url });
      const jsm = await nc.jetstreamManager();
      await jsm.consumers.add("RT_EVENTS", { durable_name: "billing", ack_policy: "explicit" as never });
      for (let n = 0; n < 10_500; n++) nc.publish("rtevt.test", "{}");
      await nc.flush();
      await nc.close();
    }),
  },
  {
    alert: "TrunklineOverloaded",
    what: "the instance takes more memory than it may",
    options: { config: { overload: { memory: "64MiB" } } },
    inSettings: true,
    make: once(async () => {}),
  },
  {
    alert: "TrunklineLoopSlow",
    what: "the process is stopped for 0.6 s, every two seconds",
    async make({ instance }) {
      instance.signal("SIGSTOP");
      await Bun.sleep(600);
      instance.signal("SIGCONT");
      await Bun.sleep(1_400);
    },
  },
  {
    alert: "TrunklinePublishSlow",
    what: "NATS is stopped for 1.5 s while somebody publishes",
    async make({ instance, nats }, round) {
      nats.pause();
      const published = instance.api("publish", { channel: "chat:room", data: round });
      await Bun.sleep(1_500);
      nats.resume();
      await published.catch(() => {});
    },
  },
  {
    alert: "TrunklineQuotaSpent",
    what: "one user asks for more than it may",
    options: { config: { limits: { commandsPerUserPerSecond: 1 } } },
    async make(victim, round) {
      const { centrifuge } = await joined(victim, `user-${round % 2}`);
      await Promise.allSettled(Array.from({ length: 10 }, () => centrifuge.presenceStats("chat:room")));
      await Bun.sleep(300);
    },
  },
  {
    alert: "TrunklineCalloutsFail",
    what: "nobody serves the RPC that clients ask for",
    async make(victim, round) {
      const { centrifuge } = await joined(victim, `user-${round}`);
      await Promise.allSettled([centrifuge.rpc("orders", {}), centrifuge.rpc("orders", {})]);
      await Bun.sleep(500);
    },
  },
  {
    alert: "TrunklineCertificateExpires",
    what: "the certificate is valid for two days",
    options: async ({ stack }) => {
      const { server } = stack.use(await certificates());
      return { config: { tls: { certFile: server.cert, keyFile: server.key } } };
    },
    inSettings: true,
    make: once(async () => {}),
  },
  {
    alert: "TrunklineStoreWentBack",
    what: "NATS comes back with an older copy of its store",
    make: once(async (victim) => {
      const store = withCopies(victim.nats, { path: "nats-server" } as NatsProgram);
      const publish = (data: number) =>
        until(() =>
          victim.instance.api("publish", { channel: "chat:room", data }).then(
            () => true,
            () => false,
          ),
        );
      await joined(victim, "ann", "chat:room");
      await publish(1);
      const copy = await store.keep();
      for (let n = 2; n < 9; n++) await publish(n);
      await store.goBack(copy);
      await publish(100);
    }),
  },
  {
    alert: "TrunklineStorageFull",
    what: "somebody else takes the rest of the disk",
    maxFile: "330MB",
    make: once(async ({ nats, instance }) => {
      const nc = await connect({ servers: nats.url });
      const jsm = await nc.jetstreamManager();
      await jsm.streams.add({ name: "GREEDY", subjects: ["greedy"], max_msg_size: 900_000 });
      const body = new Uint8Array(900_000);
      for (let full = false; !full; ) {
        const answers = await Promise.all(Array.from({ length: 16 }, () => nc.request("greedy", body)));
        full = answers.some((answer) => answer.json<{ error?: object }>().error !== undefined);
      }
      await nc.close();
      await instance.api("publish", { channel: "chat:x", data: 1 }).catch(() => {});
    }),
  },
  {
    alert: "TrunklineStreamNearlyFull",
    what: "a namespace stores more than nine tenths of its `history.total`",
    options: { config: { namespaces: { chat: { history: { total: "1MiB" } } } } },
    make: once(async ({ instance }) => {
      const data = "x".repeat(20_000);
      for (let n = 0; n < 60; n++) await instance.api("publish", { channel: `chat:room-${n}`, data });
    }),
  },
  {
    alert: "TrunklineWorkerDown",
    what: "one of two workers is killed as soon as it is there",
    options: { env: { TRUNKLINE_WORKERS: "2" } },
    async make({ instance: { pid } }) {
      const children = await Bun.file(`/proc/${pid}/task/${pid}/children`).text();
      for (const child of children.trim().split(" ").map(Number)) {
        const words = (await Bun.file(`/proc/${child}/cmdline`).text()).split("\0");
        if (words[words.indexOf("--worker") + 1] === "1") process.kill(child, "SIGKILL");
      }
      await Bun.sleep(500);
    },
  },
  {
    alert: "TrunklineWebhookBehind",
    what: "a webhook's endpoint is down",
    options: {
      config: {
        webhooks: { endpoints: [{ name: "all", url: "http://127.0.0.1:9/hook", secret: WEBHOOK_SECRET }] },
      },
    },
    make: once((victim) => joined(victim, "ann", "chat:room")),
  },
  {
    alert: "TrunklineWebhookSetAside",
    what: "a webhook refuses one event and takes the others",
    options: async ({ stack }) => {
      const server = Bun.serve({
        ...{ hostname: "127.0.0.1", port: 0 },
        fetch: async (request) =>
          new Response("", { status: (await request.text()).includes("poison") ? 422 : 200 }),
      });
      stack.defer(() => server.stop(true));
      const url = `http://127.0.0.1:${server.port}/hook`;
      return {
        config: { webhooks: { tries: 1, endpoints: [{ name: "all", url, secret: WEBHOOK_SECRET }] } },
      };
    },
    make: async (victim, round) => {
      const { centrifuge } = await joined(victim, round === 0 ? "poison" : `user-${round}`);
      await centrifuge.send("x");
      await Bun.sleep(500);
    },
  },
  {
    alert: "TrunklineMemory",
    what: "the instance takes nine tenths of the memory it may",
    options: async ({ stack }) => {
      const alike = stack.use(await startInstance());
      const page = await (await fetch(`${alike.url}/metrics`)).text();
      const bytes = Number(/^trunkline_resident_memory_bytes (\S+)$/m.exec(page)?.[1]);
      return { config: { overload: { memory: `${Math.round(bytes * 1.1)}B` } } };
    },
    inSettings: true,
    make: once(async () => {}),
  },
];
