import { readFile } from "node:fs/promises";
import process from "node:process";
import { print, printError, UserError } from "../output.ts";
import { SECRET_VARIABLE, type TokenContext } from "./context.ts";

/** What the command takes beside flags. */
export const TOKEN_USAGE = "token [read] [token]";

/** Flags of the command and what they mean, as commander writes them. */
export const TOKEN_FLAGS = [
  ["--user <id>", 'the user of the token ("" for an anonymous client)'],
  ["--channel <name>", "make a subscription token for this channel instead of a connection token"],
  ["--ttl <time>", "how long the token is valid: 90s, 30m, 1h, 7d or never (default: 1h)"],
  ["--info <json>", "information about the user that other clients see"],
  ["--device <name>", "the device's name"],
  ["--caps <json>", 'capabilities: [{"channels":["game:*"],"match":"wildcard","allow":["sub","pub"]}]'],
  ["--claims <json>", 'any further claims: {"iss":"…","aud":"…","channels":["news"]}'],
  ["--secret-env <name>", `environment variable that holds the secret (default: ${SECRET_VARIABLE})`],
  ["--key <file>", "sign with this private key (PEM, PKCS #8), or check with this public key (PEM)"],
  ["--alg <name>", "signature algorithm (default: HS256, or one that fits the key)"],
  ["--json", "print JSON"],
] as const;

/**
 * `trunkline token --user 42` makes a token; `trunkline token read <token>` (or a token on stdin, which no other
 * user of the machine sees in the list of processes) shows what one says, and whether it is good when there is a key to check it with. @throws UserError
 */
export async function token(
  flags: Readonly<Record<string, unknown>>,
  args: readonly string[],
  context: TokenContext = processContext(),
): Promise<void> {
  const [verb, text] = args;
  // What does the work is loaded when it is asked for.
  if (verb === undefined) return await (await import("./make.ts")).makeToken(flags, context);
  if (verb !== "read") throw new UserError("trunkline token read <token>, or - for stdin");
  const piped = text === "-" || (text === undefined && !context.typed);
  const given = piped ? (await context.readStdin()).trim() : text;
  if (!given) throw new UserError("trunkline token read <token>, or - for stdin");
  await (await import("./read.ts")).readToken(given, flags, context);
}

function processContext(): TokenContext {
  return {
    env: process.env,
    print,
    printError,
    readFile: (path) => readFile(path, "utf8"),
    readStdin: async () => {
      let text = "";
      for await (const piece of process.stdin.setEncoding("utf8")) text += piece;
      return text;
    },
    typed: process.stdin.isTTY === true,
    fail: () => {
      process.exitCode = 1;
    },
    interactive: process.stderr.isTTY === true,
    now: Date.now,
  };
}
