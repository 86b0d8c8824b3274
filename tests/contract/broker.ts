import { afterAll, beforeAll, describe } from "bun:test";
import { NAMESPACE_DEFAULTS, type NamespaceRules, type Namespaces } from "../../src/core/namespace.ts";
import { bodiesContract } from "./broker-bodies.ts";
import type { BrokerFixture, Context } from "./broker-context.ts";
import { controlContract } from "./broker-control.ts";
import { entriesContract } from "./broker-entries.ts";
import { extensionContract } from "./broker-extension.ts";
import { historyContract } from "./broker-history.ts";
import { orderContract } from "./broker-order.ts";
import { outboxContract } from "./broker-outbox.ts";

/** Makes a backend for these namespaces, with no instance yet. */
export type MakeBrokerFixture = (namespaces: Namespaces) => Promise<BrokerFixture>;

const rules = (name: string, own: Partial<NamespaceRules> = {}): [string, NamespaceRules] => [
  name,
  { ...NAMESPACE_DEFAULTS, name, ...own },
];
const history = (size: number, ageMs: number) => ({
  history: { size, ageMs, recoverLimit: 1_000, replicas: 1 },
  recovery: "stream" as const,
});

/** What the suite runs on: each rule it asks about has a namespace of its own. */
export const CONTRACT_NAMESPACES: Namespaces = new Map([
  rules("default", history(1_000, 600_000)),
  rules("keep", { ...history(5_000, 600_000), maxMessageBytes: 2_000 }),
  rules("few", history(5, 600_000)),
  rules("brief", history(100, 1_500)),
  rules("bytes", { ...history(100, 600_000), format: "binary" }),
  rules("doomed", history(100, 600_000)),
  rules("live"),
]);

/**
 * Holds a driver to the port's law. One backend and two instances serve all tests; every test uses channels of its
 * own, in real time.
 * @param partitions of every namespace with history
 */
export function brokerContract(name: string, make: MakeBrokerFixture, partitions = 1): void {
  describe(`the broker contract: ${name}`, () => {
    let shared: Context | undefined;
    const context = () => {
      if (!shared) throw new Error("the fixture could not be made");
      return shared;
    };

    beforeAll(async () => {
      const divided = [...CONTRACT_NAMESPACES.values()].map((one): [string, NamespaceRules] => [
        one.name,
        one.history ? { ...one, partitions } : one,
      ]);
      const namespaces = new Map(divided);
      const fixture = await make(namespaces);
      const [a, b] = await Promise.all([fixture.instance("instance-a"), fixture.instance("instance-b")]);
      shared = { fixture, a, b, namespaces, partitions };
    }, 30_000);

    afterAll(async () => {
      await shared?.fixture[Symbol.asyncDispose]();
    });

    describe("order", () => orderContract(context));
    describe("entries", () => entriesContract(context));
    describe("bodies", () => bodiesContract(context));
    describe("history", () => historyContract(context));
    describe("control", () => controlContract(context));
    describe("outbox", () => outboxContract(context));
    describe("extension", () => extensionContract(context));
  });
}
