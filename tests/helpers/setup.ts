import { setDefaultTimeout } from "bun:test";

// Preloaded by bunfig.toml. Tests wait on conditions, each with a limit of its own; this one only ends a test that hangs.
// It holds for the first file of a run only (bun 1.4.5): where there are more, `bun test --timeout 60000` says the same.
setDefaultTimeout(60_000);
