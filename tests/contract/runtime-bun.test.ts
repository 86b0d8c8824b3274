import { runtimeContract } from "./runtime.ts";

runtimeContract("bun", [process.execPath], { showsPings: true, refusesConnections: true });
