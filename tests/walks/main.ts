import { firstMessage } from "./browser.ts";
import { greenTest } from "./library.ts";
import { type Packed, packed } from "./package.ts";
import { threeInstances } from "./three.ts";

/*
 * `npm run walks`: three walks of somebody new, each in an empty folder from the packed product, with the time that each took
 * and may take. npm's cache is used as it is.
 */

const WALKS: Readonly<
  Record<string, { readonly goalS: number; readonly walk: (from: Packed) => Promise<void> }>
> = {
  "npx to the first message in a browser": { goalS: 20, walk: firstMessage },
  "the library to a green test in an app": { goalS: 180, walk: greenTest },
  "three instances behind HAProxy, with Prometheus and the dashboard": { goalS: 600, walk: threeInstances },
};

await using from = await packed();
let failed = 0;
for (const [name, { goalS, walk }] of Object.entries(WALKS)) {
  const begin = performance.now();
  try {
    await walk(from);
    const seconds = (performance.now() - begin) / 1_000;
    if (seconds > goalS) failed++;
    console.log(`${name}: ${seconds.toFixed(1)} s of ${goalS} s${seconds > goalS ? ", too long" : ""}`);
  } catch (error) {
    failed++;
    console.log(`${name}: FAILED: ${error instanceof Error ? error.message : String(error)}`);
  }
}
process.exitCode = failed === 0 ? 0 : 1;
