import { BACKENDS, Missing } from "./backends.ts";
import { CHECKS, calloutInstance } from "./checks.ts";

/*
 * Tries every check with every backend that can be had on this machine. One that cannot be had is named with the reason,
 * and counts for nothing.
 */

let [passed, failed, skipped] = [0, 0, 0];
for (const [language, start] of Object.entries(BACKENDS)) {
  try {
    await using backend = await start();
    await using instance = await calloutInstance(backend.url);
    for (const [name, check] of Object.entries(CHECKS)) {
      try {
        await check(instance);
        console.log(`${language}: ${name}: ok`);
        passed++;
      } catch (error) {
        console.log(`${language}: ${name}: FAILED: ${String(error)}`);
        failed++;
      }
    }
  } catch (error) {
    if (!(error instanceof Missing)) throw error;
    console.log(`${language}: skipped: ${error.message}`);
    skipped += Object.keys(CHECKS).length;
  }
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed === 0 ? 0 : 1);
