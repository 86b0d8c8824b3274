/** The settings of an instance: one table, read from a JSON file and the environment. Only commands read it. */
export { devApps } from "./config/apps.ts";
export { startRefusals } from "./config/cross-checks.ts";
export { configMarkdown } from "./config/docs.ts";
export { settingsInForce } from "./config/in-force.ts";
export { limitConflicts } from "./config/limit-conflicts.ts";
export { type Effective, loadConfig, secretFiles } from "./config/load.ts";
export { type Change, changesOf } from "./config/reload.ts";
export { configSchema } from "./config/schema.ts";
export { CONFIG_VARIABLE, type Config, SECRET_FILE } from "./config/table.ts";
