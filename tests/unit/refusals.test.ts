import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { AWAY } from "../../src/http/admission-guard.ts";

/**
 * A proxy takes 5xx for a fault of the gateway, and may hold it against it for everybody. So no caller can bring one
 * about by itself.
 */
describe("statuses", () => {
  test("of limits of an address are 4xx, of the instance's own state 5xx", () => {
    for (const [reason, { status }] of Object.entries(AWAY)) {
      expect([reason, status]).toEqual([reason, reason.startsWith("ip_") ? 429 : 503]);
    }
  });

  test("5xx is written where the instance itself cannot, and nowhere else in src/http", () => {
    const root = join(import.meta.dir, "../../src/http");
    const found = readdirSync(root, { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".ts"))
      .sort()
      .flatMap((path) => {
        const code = readFileSync(join(root, path), "utf8").replace(
          /\/\*[\s\S]*?\*\/|\/\/.*$|^const [A-Z_]+ = \d+;$/gm,
          "",
        );
        const statuses = new Set(code.match(/\b50\d\b/g));
        return [...statuses].map((status) => `${path} ${status}`);
      });
    expect(found).toEqual(KNOWN);
  });
});

/** Every place, each looked at: can a caller bring it about alone? */
const KNOWN = [
  // Readiness, asked by proxies and machines.
  "admin.ts 503",
  // The table above.
  "admission-guard.ts 503",
  // A fault of the product.
  "app.ts 500",
  "pusher/api.ts 500",
  // The broker is away.
  "pusher/api.ts 503",
  "pusher/auth.ts 503",
  // Forwarded requests of all addresses together.
  "streams/routes.ts 503",
];
