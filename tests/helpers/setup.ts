import { setDefaultTimeout } from "bun:test";

// Preloaded by bunfig.toml. Tests wait on conditions, each with a limit of its own; this one only ends a test that hangs.
setDefaultTimeout(60_000);
