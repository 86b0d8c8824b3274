import process from "node:process";
import { parseDuration } from "../config/units.ts";
import { subjects } from "../core/subject.ts";
import type { RestrictionMethod } from "../gateway/restrictions/restriction.ts";
import { natsOfEnvironment } from "./drivers.ts";
import { columns, print, UserError } from "./output.ts";

/** How long an answer may take, ms. */
const TIMEOUT_MS = 5_000;

type Flags = Readonly<Record<string, string | true | undefined>>;

/** `trunkline revoke`, `block`, `unblock` and `list`: rights that are taken back, everywhere at once. @throws UserError */
export async function restrict(method: RestrictionMethod, flags: Flags): Promise<void> {
  const { url } = flags;
  const params = paramsOf(flags);
  const result = await (typeof url === "string" ? overHttp(url, method, params) : overNats(method, params));
  if (method !== "restrictions" || flags.json) return print(JSON.stringify(result, null, 2));
  const { restrictions = [] } = result as { restrictions?: Record<string, unknown>[] };
  if (restrictions.length === 0) return print("nothing is revoked or blocked");
  print(columns(restrictions.map(row)));
}

function row({
  id,
  kind,
  expire_at: end,
  reason,
  created_at: _,
  ...target
}: Record<string, unknown>): string[] {
  const until = new Date(Number(end) * 1_000).toISOString();
  const what = Object.entries(target).map(([name, value]) => `${name}=${String(value)}`);
  return [String(kind), what.join(" "), `until ${until}`, String(id), String(reason ?? "")];
}

function paramsOf(flags: Flags): Record<string, unknown> {
  const { tokenId, user, address, channel, id, reason, issuedBefore, for: lasts } = flags;
  const given = { token_id: tokenId, user, address, channel, id, reason };
  const params: Record<string, unknown> = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  );
  if (typeof issuedBefore === "string") params.issued_before = unixSeconds(issuedBefore);
  if (typeof lasts === "string") {
    const ms = parseDuration(lasts);
    if (!ms) throw new UserError(`--for: ${lasts} is no time such as 90s, 30m or 24h`);
    params.expire_at = Math.ceil((Date.now() + ms) / 1_000);
  }
  return params;
}

function unixSeconds(text: string): number {
  const seconds = /^\d+$/.test(text) ? Number(text) : Math.floor(Date.parse(text) / 1_000);
  if (Number.isSafeInteger(seconds)) return seconds;
  throw new UserError(`--issued-before: ${text} is no time such as 2026-05-01T00:00:00Z`);
}

async function overHttp(url: string, method: string, params: object): Promise<object> {
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
  const { result, error } = (await response.json()) as { result?: object; error?: { message: string } };
  if (error) throw new UserError(error.message);
  return result ?? {};
}

async function overNats(method: string, params: object): Promise<object> {
  const servers = process.env.NATS_URL;
  if (!servers) throw new UserError("NATS_URL is not set; or ask an instance: --url http://127.0.0.1:8080");
  const { root, connect } = await natsOfEnvironment(servers, process.env);
  const nc = await connect();
  try {
    const subject = subjects(root).control(method);
    const answer = await nc.request(subject, JSON.stringify(params), { timeout: TIMEOUT_MS });
    const failure = answer.headers?.get("Nats-Service-Error");
    if (failure) throw new UserError(failure);
    return answer.json<object>();
  } catch (error) {
    if (error instanceof UserError) throw error;
    const { code = "" } = error as { code?: string };
    throw new UserError(code === "503" ? "no instance answers" : `NATS: ${(error as Error).message}`);
  } finally {
    await nc.close();
  }
}
