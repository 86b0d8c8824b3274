import { ensureServer } from "./servers.ts";

// Run by `npm test` before the tests, so that a missing server is one clear line and not a hundred failures.
for (const name of ["nats-server", "redis-server", "nginx", "haproxy"] as const) ensureServer(name);
