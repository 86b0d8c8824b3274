import { type Browser, chromium } from "playwright-core";

/** Chromium's names, in order of preference. */
const NAMES = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/** A browser without a screen that looks nothing up by itself. Its profile is new and goes with it. */
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/**
 * Path of Chromium: `CHROMIUM_BIN`, else PATH, else Debian's package (installed here when root). Throws with the line
 * to type when it cannot be had.
 */
export function ensureChromium(): string {
  const found = process.env.CHROMIUM_BIN ?? onPath();
  if (found) return found;
  if (process.getuid?.() === 0 && Bun.which("apt-get")) {
    console.error("installing Debian's chromium …");
    if (!apt("install")) {
      apt("update");
      apt("install");
    }
    const installed = onPath();
    if (installed) return installed;
  }
  throw new Error(
    "chromium is needed and not on PATH. Type: sudo apt-get install chromium  (or set CHROMIUM_BIN to its path)",
  );
}

/** Starts a real browser; closed when disposed. */
export async function openBrowser(): Promise<Browser> {
  return await chromium.launch({ executablePath: ensureChromium(), headless: true, args: FLAGS });
}

function onPath(): string | undefined {
  for (const name of NAMES) {
    const path = Bun.which(name);
    if (path) return path;
  }
  return undefined;
}

function apt(verb: "install" | "update"): boolean {
  const args = verb === "install" ? ["-y", "-qq", "--no-install-recommends", "chromium"] : ["-qq"];
  return Bun.spawnSync(["apt-get", verb, ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    stdout: "ignore",
    stderr: "inherit",
  }).success;
}
