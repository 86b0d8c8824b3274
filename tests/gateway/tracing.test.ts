import { describe, expect, test } from "bun:test";
import { utf8Encoder } from "../../src/core/text.ts";
import { CALLER_ID, SAMPLED, TRACE_ID, tracesInMemory, UNSAMPLED } from "../helpers/spans.ts";
import { createWorld, startGateway } from "./fixture.ts";
import { eventually, settled } from "./time.ts";

/** Two instances, on each of them two subscribers of `chat:x`. */
async function twoInstances(trusts = {}) {
  const world = createWorld();
  const both = ["a", "b"].map((instance) => ({ instance, traces: tracesInMemory(trusts) }));
  const gateways = await Promise.all(
    both.map(({ instance, traces }) => startGateway({ world, instance, tracing: traces.tracing })),
  );
  for (const gateway of gateways)
    for (const user of ["ann", "bob"]) await (await gateway.connect(user)).subscribe("chat:x");
  const publish = (headers: Record<string, string>) =>
    world.bus.raw("rt.chat.x", utf8Encoder.encode('"hello"'), headers);
  return {
    ...{ world, gateways, publish },
    deliveries: () => both.map(({ traces }) => traces.spans().filter(({ name }) => name === "deliver chat")),
    async [Symbol.asyncDispose]() {
      for (const gateway of gateways) await gateway[Symbol.asyncDispose]();
    },
  };
}

describe("a message that a service publishes", () => {
  test("shows on each instance as one span of the service's trace, however many get it", async () => {
    await using world = await twoInstances();
    world.publish({ traceparent: SAMPLED, tracestate: "rojo=1" });
    await eventually(() => world.deliveries().every(({ length }) => length > 0));
    for (const own of world.deliveries()) {
      expect(own).toMatchObject([
        {
          ...{ kind: "consumer", trace: TRACE_ID, parent: CALLER_ID, failed: false },
          attributes: {
            "messaging.operation.type": "process",
            "messaging.destination.name": "rt.chat.x",
            "trunkline.channel": "chat:x",
            "trunkline.deliveries": 2,
            "trunkline.offset": 1,
          },
        },
      ]);
    }
  });

  test.each([
    ["is not recorded by its service", { traceparent: UNSAMPLED }],
    ["belongs to no trace", {}],
    ["says it belongs to one, in a way that nobody understands", { traceparent: `${SAMPLED}x` }],
  ])("is delivered, and shows nowhere, when it %s", async (_, headers) => {
    await using world = await twoInstances();
    world.publish(headers);
    await eventually(() => world.gateways.every(({ stats }) => stats.deliveries === 2));
    await settled();
    expect(world.deliveries()).toEqual([[], []]);
  });

  test("begins a trace of the instance's own, with a link, when services are not trusted", async () => {
    await using world = await twoInstances({ service: false });
    world.publish({ traceparent: SAMPLED });
    await eventually(() => world.deliveries().every(({ length }) => length > 0));
    for (const [own] of world.deliveries()) {
      expect(own?.parent).toBeUndefined();
      expect(own).toMatchObject({ links: [TRACE_ID] });
      expect(own?.trace).not.toBe(TRACE_ID);
    }
  });
});
