import { fileURLToPath } from "node:url";
import { runtimeContract } from "./runtime.ts";
import { runtimeTlsContract } from "./runtime-tls.ts";

const deno = fileURLToPath(new URL("../../node_modules/.bin/deno", import.meta.url));

// Deno shows no pings to the program, and cannot stop accepting without ending what is open.
runtimeContract("deno", [deno, "run", "-A"], { showsPings: false, refusesConnections: false });

runtimeTlsContract("deno", [deno, "run", "-A"]);
