import process from "node:process";
import { rawMember } from "../core/json-text.ts";
import { subjects } from "../core/subject.ts";
import { natsOfEnvironment } from "./drivers.ts";
import { UserError } from "./output.ts";

/** How long an answer may take, ms. */
const TIMEOUT_MS = 5_000;

/**
 * Asks an instance: the one at a URL, by its server API (`$TRUNKLINE_API_KEYS`), or any of a system, over NATS
 * (`$NATS_URL`). Returns the result as the JSON text that it is. @throws UserError that says what is wrong, or what the
 * instance answers
 */
export async function askInstance(url: string | undefined, method: string, params: object): Promise<string> {
  return await (url === undefined ? overNats(method, params) : overHttp(url, method, params));
}

async function overHttp(url: string, method: string, params: object): Promise<string> {
  const [key = ""] = (process.env.TRUNKLINE_API_KEYS ?? "").split(",");
  if (!key) throw new UserError("TRUNKLINE_API_KEYS is not set");
  let response: Response;
  try {
    response = await fetch(new URL(`/api/${method}`, url), {
      method: "POST",
      headers: { "x-api-key": key.trim() },
      body: JSON.stringify(params),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    throw new UserError(`${url} does not answer (${(error as Error).name})`);
  }
  if (!response.ok) throw new UserError(`${url} answers ${response.status}`);
  const text = await response.text();
  const { error } = JSON.parse(text) as { error?: { message: string } };
  if (error) throw new UserError(error.message);
  return rawMember(text, "result") ?? "{}";
}

async function overNats(method: string, params: object): Promise<string> {
  const servers = process.env.NATS_URL;
  if (!servers) throw new UserError("NATS_URL is not set; or ask an instance: --url http://127.0.0.1:8080");
  const { root, connect } = await natsOfEnvironment(servers, process.env);
  const nc = await connect();
  try {
    const subject = subjects(root).control(method);
    const answer = await nc.request(subject, JSON.stringify(params), { timeout: TIMEOUT_MS });
    const failure = answer.headers?.get("Nats-Service-Error");
    if (failure) throw new UserError(failure);
    return answer.string();
  } catch (error) {
    if (error instanceof UserError) throw error;
    const { code = "" } = error as { code?: string };
    throw new UserError(code === "503" ? "no instance answers" : `NATS: ${(error as Error).message}`);
  } finally {
    await nc.close();
  }
}
