import { afterAll, beforeAll, describe, test } from "bun:test";
import { BACKENDS } from "../callouts/backends.ts";
import { CHECKS, calloutInstance } from "../callouts/checks.ts";
import type { TestInstance } from "../helpers/instances.ts";

/** Backends over HTTP, asked by the embedded default. Those in other languages: npm run compat:callouts. */
describe.each([
  ["Bun", "deno", true],
  ["Python's standard library", "bun", Bun.which("python3") !== null],
] as const)("a backend in %s, asked on %s", (language, runtime, here) => {
  let stack: AsyncDisposableStack;
  let instance: TestInstance;

  beforeAll(async () => {
    stack = new AsyncDisposableStack();
    if (!here) return;
    const backend = stack.use(await BACKENDS[language]!());
    instance = stack.use(await calloutInstance(backend.url, runtime));
  }, 60_000);
  afterAll(() => stack.disposeAsync());

  for (const [name, check] of Object.entries(CHECKS)) {
    test.skipIf(!here).concurrent(name, () => check(instance));
  }
});
