import { expect, test } from "bun:test";
import { Errors } from "../../src/core/errors.ts";
import { amendNamespaces } from "../../src/core/namespace.ts";
import { startGateway, type TestGateway } from "./fixture.ts";

type Client = Awaited<ReturnType<TestGateway["connect"]>>;

const { code: TOO_MANY } = Errors.tooManyRequests;

async function refusals(client: Client, count: number): Promise<number> {
  let refused = 0;
  for (let n = 0; n < count; n++) {
    const { error } = await client.ask({ publish: { channel: "live:x", data: n } });
    if (error === TOO_MANY) refused++;
  }
  return refused;
}

/** Other options of a running gateway, and what they do to somebody who was there before. */
const LIMITS = [
  ["commandsPerSecond", { commandsPerSecond: 5 }],
  ["commandsPerUserPerSecond", { commandsPerSecond: 1_000, commandsPerUserPerSecond: 5 }],
  ["publishesPerUserPerSecond", { publishesPerUserPerSecond: 5 }],
] as const;

test.each(LIMITS)(
  "%s holds for who is connected, from a full bucket, and can be taken away again",
  async (_, limits) => {
    await using gateway = await startGateway();
    const client = await gateway.connect("ann");
    expect(await refusals(client, 50)).toBe(0);
    const { options } = gateway.gateway.context;
    const before = { ...options };
    gateway.gateway.reload({ ...before, ...limits });
    expect(await refusals(client, 10)).toBe(0);
    expect(await refusals(client, 4)).toBeGreaterThan(0);
    gateway.gateway.reload(before);
    expect(await refusals(client, 50)).toBe(0);
  },
);

test("channels that are live meet the new rules, and new namespaces are there", async () => {
  await using gateway = await startGateway({
    namespaces: { live: { subscribe: "anyone", publish: "nobody" } },
  });
  const client = await gateway.connect("ann");
  await client.ask({ subscribe: { channel: "live:x" } });
  const publish = () => client.ask({ publish: { channel: "live:x", data: 1 } });
  expect(await publish()).toMatchObject({ error: Errors.permissionDenied.code });
  const { namespaces } = gateway.gateway.context;
  const live = namespaces.get("live")!;
  amendNamespaces(
    namespaces,
    new Map([
      ["live", { ...live, publish: "anyone" as const }],
      ["new", { ...live, name: "new" }],
    ]),
  );
  expect((await publish()).error).toBeUndefined();
  expect(namespaces.get("live")).toBe(live);
  expect((await client.ask({ subscribe: { channel: "new:x" } })).error).toBeUndefined();
});
