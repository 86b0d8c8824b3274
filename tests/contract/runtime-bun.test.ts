import { runtimeContract } from "./runtime.ts";
import { runtimeCompressionContract } from "./runtime-compression.ts";
import { runtimeProxyContract } from "./runtime-proxy.ts";
import { runtimeTlsContract } from "./runtime-tls.ts";

runtimeContract("bun", [process.execPath], { showsPings: true, refusesConnections: true });

runtimeTlsContract("bun", [process.execPath]);

runtimeCompressionContract([process.execPath]);

runtimeProxyContract("bun", [process.execPath]);
