import process from "node:process";
import { rawMember } from "../core/json-text.ts";
import { JsonText, writeJson } from "../core/json-value.ts";
import { subjects } from "../core/subject.ts";
import { natsOfEnvironment } from "./drivers.ts";
import { UserError } from "./output.ts";
import { apiKeyOfEnvironment, secretOfEnvironment } from "./secrets.ts";

/** How long an answer may take, ms. */
const TIMEOUT_MS = 5_000;

/** Methods with a subject of their own, `rtctl.<method>`; roles with few rights may ask some. All others go to `rtctl.api`. */
const OWN_SUBJECTS: ReadonlySet<string> = new Set([
  ...["revoke", "block", "unblock", "restrictions", "outbox", "outbox_look", "outbox_replay", "move", "why"],
]);

/** Where an instance is to be asked: at its address, or over NATS when there is none. */
export type Where = string | undefined;

/**
 * Asks an instance: the one at a URL, by its server API (`$TRUNKLINE_API_KEYS`), or any of a system, over NATS
 * (`$NATS_URL`). Returns the result as the JSON text that it is.
 * @param params for `writeJson` @param extraMs what the answer takes by its nature
 * @throws UserError that says what is wrong, or what the instance answers
 */
export async function askInstance(url: Where, method: string, params: object, extraMs = 0): Promise<string> {
  const timeoutMs = TIMEOUT_MS + extraMs;
  return await (url === undefined
    ? overNats(method, params, timeoutMs)
    : overHttp(url, method, params, timeoutMs));
}

/** The key of the server API, as it is in the environment. @throws UserError */
export function apiKey(): string {
  const key = apiKeyOfEnvironment();
  if (!key)
    throw new UserError("set TRUNKLINE_API_KEYS (or TRUNKLINE_API_KEYS_FILE) to a key of the instance's");
  return key;
}

/** The NATS servers of the environment. @throws UserError */
export function natsServers(): string {
  const servers = secretOfEnvironment("NATS_URL");
  if (servers) return servers;
  throw new UserError("NATS_URL is not set; or ask an instance: --url http://127.0.0.1:8080");
}

async function overHttp(url: string, method: string, params: object, timeoutMs: number): Promise<string> {
  const key = apiKey();
  let response: Response;
  try {
    response = await fetch(new URL(`/api/${method}`, url), {
      method: "POST",
      headers: { "x-api-key": key },
      body: writeJson(params),
      signal: AbortSignal.timeout(timeoutMs),
    });
  } catch (error) {
    throw new UserError(`${url} does not answer (${(error as Error).name})`);
  }
  if (!response.ok) throw new UserError(`${url} answers ${response.status}`);
  return resultOf(await response.text());
}

async function overNats(method: string, params: object, timeoutMs: number): Promise<string> {
  const { root, connect } = await natsOfEnvironment(natsServers(), process.env);
  const nc = await connect();
  try {
    const own = OWN_SUBJECTS.has(method);
    const subject = subjects(root).control(own ? method : "api");
    const body = writeJson(own ? params : { method, params: new JsonText(writeJson(params)) });
    const answer = await nc.request(subject, body, { timeout: timeoutMs });
    const failure = answer.headers?.get("Nats-Service-Error");
    if (failure) throw new UserError(failure);
    return own ? answer.string() : resultOf(answer.string());
  } catch (error) {
    throw natsFailure(error);
  } finally {
    await nc.close();
  }
}

/** What went wrong with NATS, for a person. */
export function natsFailure(error: unknown): UserError {
  if (error instanceof UserError) return error;
  const { code = "", message } = error as Error & { code?: string };
  return new UserError(code === "503" ? "no instance answers" : `NATS: ${message}`);
}

/** The result in an answer of the server API. @throws UserError: what it says went wrong */
function resultOf(text: string): string {
  const { error } = JSON.parse(text) as { error?: { message: string } };
  if (error) throw new UserError(error.message);
  return rawMember(text, "result") ?? "{}";
}
