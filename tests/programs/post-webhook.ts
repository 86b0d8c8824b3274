import process from "node:process";
import { AddressGuard } from "../../src/webhooks/address-guard.ts";
import { post } from "../../src/webhooks/post.ts";

/** Sends one webhook to the URL of the command line, and prints what came of it. */
const target = {
  ...{ line: "a.b", url: process.argv[2]!, batch: 1, headers: {}, name: {} },
  request: () => ({ body: "{}", headers: {} }),
};
const failure = await post(target, [], { timeoutMs: 3_000, guard: new AddressGuard(["127.0.0.0/8", "::1"]) });
console.log(failure ?? "taken");
process.exit();
