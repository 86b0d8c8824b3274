import { expect, test } from "bun:test";
import { Errors } from "../../src/core/errors.ts";
import { NAMESPACE_DEFAULTS, type NamespaceRules } from "../../src/core/namespace.ts";
import { type Context, failsWith, follow, freshChannel, has, TEST_MS } from "./broker-context.ts";

/** Namespaces that were not there at the start. */
export function extensionContract(context: () => Context): void {
  test.each(["kept", "gone"] as const)(
    "a namespace that comes later works as one from the start: %s",
    async (kind) => {
      const { a, b, namespaces } = context();
      const name = `late${kind}`;
      const history = { size: 10, ageMs: 600_000, recoverLimit: 10, replicas: 1 };
      const rules: NamespaceRules = {
        ...{ ...NAMESPACE_DEFAULTS, name },
        ...(kind === "kept" && { history, recovery: "stream" as const }),
      };
      const channel = freshChannel(name);
      await failsWith(a.broker.publish(channel, "1"), Errors.unknownChannel);
      // A first try of which nothing came: it is asked again.
      await a.broker.extend([rules]);
      const begin = await Promise.all([a, b].map(({ broker }) => broker.extend([rules])));
      await failsWith(a.broker.publish(channel, "1"), Errors.unknownChannel);
      for (const one of begin) one();
      namespaces.set(name, rules);
      const { sink } = await follow(b, channel);
      await a.broker.publish(channel, "1");
      await has(sink, 1);
      if (kind === "gone") return;
      const page = await b.broker.history(channel, { limit: 5 });
      expect(page.publications.map(({ data }) => data)).toEqual(["1"]);
      expect(await b.broker.storedChannels(name, 10)).toEqual([channel.id]);
    },
    TEST_MS,
  );
}
