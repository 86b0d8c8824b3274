/** Waits for a condition instead of sleeping: what apps' tests have, too. */
export { until } from "../../src/library/until.ts";
