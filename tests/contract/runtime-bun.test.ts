import { runtimeContract } from "./runtime.ts";
import { runtimeTlsContract } from "./runtime-tls.ts";

runtimeContract("bun", [process.execPath], { showsPings: true, refusesConnections: true });

runtimeTlsContract("bun", [process.execPath]);
