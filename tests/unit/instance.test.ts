import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Authenticator, Callouts } from "../../src/auth/auth.ts";
import type { Broker } from "../../src/broker/broker.ts";
import { memoryBroker, memoryBus } from "../../src/broker/memory/memory.ts";
import type { OutboxOptions } from "../../src/broker/outbox.ts";
import { startInstance } from "../../src/cli/instance.ts";
import type { InstanceParts } from "../../src/cli/instance-parts.ts";
import { loadConfig } from "../../src/config.ts";
import { createLogger, type LogFields, silent } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import { memoryPresence, memoryPresenceHub } from "../../src/presence/memory/memory.ts";
import type { InstanceLoad, Presence } from "../../src/presence/presence.ts";
import type { Runtime, ServeOptions, Server } from "../../src/runtime/runtime.ts";

/** What is started, in this order; "second port" and "port" are listeners. */
const STEPS = ["broker", "outbox", "webhooks", "authenticator", "presence", "second port", "port"] as const;
type Step = (typeof STEPS)[number];

/** How the steps' failures begin in the one sentence that is printed. */
const SENTENCES: Readonly<Record<Step, string>> = {
  broker: "cannot start the broker: no luck",
  outbox: "cannot open the outbox of webhooks: no luck",
  webhooks: "cannot start the webhooks: no luck",
  authenticator: "cannot start the check of tokens: no luck",
  presence: "cannot start presence: no luck",
  "second port": "cannot listen on 127.0.0.1, port 9100: no luck",
  port: "cannot listen on 127.0.0.1, port 8080: no luck",
};

/** Closed in this order, as far as they were started; the gateway is last to be started and has no step that can fail. */
const CLOSED_IN_ORDER = ["gateway", "presence", "authenticator", "outbox", "broker", "second port", "port"];

const intervals = new Set<unknown>();
const { setInterval: realSet, clearInterval: realClear } = globalThis;

beforeEach(() => {
  intervals.clear();
  globalThis.setInterval = ((...args: Parameters<typeof realSet>) => {
    const timer = realSet(...args);
    intervals.add(timer);
    return timer;
  }) as typeof setInterval;
  globalThis.clearInterval = ((timer: Parameters<typeof realClear>[0]) => {
    intervals.delete(timer);
    realClear(timer);
  }) as typeof clearInterval;
});

afterEach(() => {
  globalThis.setInterval = realSet;
  globalThis.clearInterval = realClear;
});

/** Parts of an instance that note when they are closed, and of which some step may fail or never end. */
function rig(options: { fail?: Step; hang?: Step; failToClose?: string } = {}) {
  const closed: string[] = [];
  const lines: ({ level: string; message: string } & LogFields)[] = [];
  const log = createLogger("info", (line) => void lines.push(line));
  const stats = new Stats();
  const config = instanceConfig();
  const step = (name: Step): Promise<void> | undefined => {
    if (options.fail === name) throw new Error("no luck");
    return options.hang === name ? new Promise(() => {}) : undefined;
  };
  const close = async (name: string, really?: () => Promise<void>) => {
    closed.push(name);
    await really?.();
    if (options.failToClose === name) throw new Error(`${name} will not close`);
  };
  const parts: InstanceParts = {
    config,
    version: "0.0.0",
    runtime: fakeRuntime(step, close),
    broker: broker(step, close),
    presence: (load) => presence(load, step, close),
    authenticator: {
      start: async () => await step("authenticator"),
      close: () => close("authenticator"),
    } as Authenticator,
    callouts: () => ({}) as Callouts,
    log,
    stats,
  };
  return { parts, closed, lines };
}

type StepHook = (name: Step) => Promise<void> | undefined;
type CloseHook = (name: string, really?: () => Promise<void>) => Promise<void>;

function instanceConfig() {
  const app = {
    id: "shop",
    namespace: "shop",
    keys: [{ key: "key", secret: "0123456789abcdef" }],
    webhooks: [{ url: "http://127.0.0.1:1/hook", events: ["channel_occupied"] }],
  };
  const file = JSON.stringify({
    host: "127.0.0.1",
    port: 8080,
    admin: { host: "127.0.0.1", port: 9100 },
    namespaces: { shop: { presence: true } },
    apps: [app],
  });
  const result = loadConfig({ env: {}, file });
  if (result.problems) throw new Error(result.problems.join("\n"));
  return result.config;
}

/** The real thing with some of its methods replaced. */
function wrap<T extends object>(real: T, own: Partial<T>): T {
  return new Proxy(real, {
    get(target, name) {
      if (Object.hasOwn(own, name)) return own[name as keyof T];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function broker(step: StepHook, close: CloseHook): Broker {
  const { namespaces } = instanceConfig();
  const bus = memoryBus({ namespaces });
  const real = memoryBroker({ bus, instance: "one", log: silent, stats: new Stats() });
  return wrap(real, {
    async start() {
      await step("broker");
      await real.start();
    },
    close: () => close("broker", () => real.close()),
    onSignal(listener) {
      const stop = real.onSignal(listener);
      return () => {
        void close("gateway");
        stop();
      };
    },
    async outbox(options: OutboxOptions) {
      await step("outbox");
      const outbox = await real.outbox(options);
      return wrap(outbox, {
        onWake(listener) {
          void step("webhooks");
          return outbox.onWake(listener);
        },
        close: () => close("outbox", () => outbox.close()),
      });
    },
  });
}

function presence(load: () => InstanceLoad, step: StepHook, close: CloseHook): Presence {
  const real = memoryPresence({
    ...{ hub: memoryPresenceHub(), instance: "one", region: "here", log: silent, stats: new Stats(), load },
    leaseTtlMs: 15_000,
    renewMs: 5_000,
  });
  return wrap(real, {
    async start() {
      await step("presence");
      await real.start();
    },
    close: () => close("presence", () => real.close()),
  });
}

function fakeRuntime(step: StepHook, close: CloseHook): Runtime {
  return {
    name: "bun",
    version: "0",
    ...{ noSharedPorts: undefined, noCompression: undefined },
    needsProxy: undefined,
    descriptorLimit: () => 10_000,
    descriptorsEach: () => 1,
    fetchTrusting: () => fetch,
    openDescriptors: () => 10,
    mount: () => {
      throw new Error("not here");
    },
    ...{ residentBytes: () => 1, heapBytes: () => 1, cpuSeconds: () => 1, startedSeconds: 1 },
    takeCollectionsMs: () => [],
    collect() {},
    onSignal: () => () => {},
    exit: () => {
      throw new Error("nothing here ends the process");
    },
    serve({ hostname, port }: ServeOptions): Server {
      const name = port === 9100 ? "second port" : "port";
      void step(name);
      return {
        ...{ hostname, port, publish: () => false, stopListening() {}, close: () => close(name) },
        renew: async () => {},
      };
    },
  };
}

/** What must have been closed when a step failed: everything before it, and itself where it may be half started. */
function closedAfter(failed: Step): string[] {
  const gateway = STEPS.indexOf("second port");
  const at = STEPS.indexOf(failed);
  return CLOSED_IN_ORDER.filter((name) => {
    if (name === "gateway") return at >= gateway;
    const own = STEPS.indexOf(name as Step);
    return own < at || (own === at && ["broker", "authenticator", "presence"].includes(name));
  });
}

describe("a start that fails", () => {
  test.each([...STEPS])(
    "at %s closes what was started before, in order, and says why in one sentence",
    async (fail) => {
      const { parts, closed, lines } = rig({ fail });
      const error = await startInstance(parts).then(
        () => undefined,
        (error: Error) => error,
      );
      expect(error?.message).toBe(SENTENCES[fail]);
      expect(error?.name).toBe("UserError");
      expect(closed).toEqual(closedAfter(fail));
      expect(intervals.size).toBe(0);
      expect(lines.filter(({ level }) => level === "error")).toEqual([]);
    },
  );

  test("logs what would not close, closes the rest, and still says why it failed", async () => {
    const { parts, closed, lines } = rig({ fail: "port", failToClose: "authenticator" });
    await expect(startInstance(parts)).rejects.toThrow(SENTENCES.port);
    expect(closed).toEqual(closedAfter("port"));
    expect(lines.filter(({ level }) => level === "error")).toMatchObject([
      {
        message: "could not close a part",
        part: "authenticator",
        error: "Error: authenticator will not close",
      },
    ]);
  });
});

describe("a start that is told to stop", () => {
  test.each(["broker", "authenticator", "presence"] as const)(
    "while it waits for %s closes what there is, and waits no longer",
    async (hang) => {
      const { parts, closed } = rig({ hang });
      const stop = new AbortController();
      const starting = startInstance(parts, stop.signal);
      await Bun.sleep(1);
      stop.abort();
      await expect(starting).rejects.toBe(stop.signal.reason);
      expect(closed).toEqual(closedAfter(hang));
      expect(intervals.size).toBe(0);
    },
  );
});

test("an end closes everything in order, once, however often it is asked for", async () => {
  const { parts, closed, lines } = rig();
  const instance = await startInstance(parts);
  expect(instance.url).toBe("http://127.0.0.1:8080");
  await Promise.all([instance.shutdown(), instance.shutdown()]);
  expect(closed).toEqual(CLOSED_IN_ORDER);
  expect(intervals.size).toBe(0);
  expect(lines.map(({ message }) => message)).toContain("drained");
});
