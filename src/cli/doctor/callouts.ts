import type { HttpEndpoint } from "../../auth/callout/http.ts";
import { httpCallouts } from "../../auth/callout/http.ts";
import type { Config } from "../../config.ts";
import { silent } from "../../core/log.ts";
import { Stats } from "../../core/stats.ts";
import { httpEndpoints } from "../drivers.ts";
import type { Finding } from "./report.ts";

/** Longest that one address may keep doctor waiting, ms. */
const PATIENCE_MS = 5_000;

/**
 * Tries the backends that are asked over HTTP. Only who a client is is really asked, about one that shows nothing: any
 * other question may have effects, so that of them the address is tried alone.
 */
export async function checkCallouts(config: Config): Promise<Finding[]> {
  const findings = httpEndpoints(config).map(async (endpoint) => {
    const events = [...eventsOf(config, endpoint.name)];
    if (events.length === 0) return [unused(endpoint)];
    return await Promise.all(events.map((event) => tryEvent(endpoint, event)));
  });
  return (await Promise.all(findings)).flat();
}

/** What an endpoint is asked, as the settings have it. */
function* eventsOf({ auth, namespaces, rpc }: Config, name: string): Generator<string> {
  const rules = [...namespaces.values()];
  if (auth.connectCallout === name) yield "connect";
  if (auth.refreshCallout === name) yield "refresh";
  if (rules.some(({ subscribeCallout }) => subscribeCallout === name)) yield "subscribe";
  if (rules.some(({ subRefreshCallout }) => subRefreshCallout === name)) yield "sub_refresh";
  if (rules.some(({ publishCallout }) => publishCallout === name)) yield "publish";
  if (Object.values(rpc.callouts).includes(name)) yield "rpc";
}

function unused({ name }: HttpEndpoint): Finding {
  return {
    ...{ check: `callout ${name}`, verdict: "warning", what: "nothing asks it" },
    fix: `set auth.connectCallout, a namespace's subscribeCallout or rpc.callouts to "${name}", or remove it`,
  };
}

/** A path may hold a secret: only host and question are told. */
async function tryEvent(endpoint: HttpEndpoint, event: string): Promise<Finding> {
  const check = `callout ${endpoint.name} ${event}`;
  const { origin, host } = new URL(endpoint.url.replaceAll("{event}", event));
  const cause = event === "connect" ? await askConnect(endpoint) : await reach(endpoint, event);
  if (cause === undefined) return { check, verdict: "ok", what: `${host} answers` };
  const fix = `curl -sS -o /dev/null -w '%{http_code}\\n' ${origin}, and look at callouts.endpoints.${endpoint.name}`;
  return { check, verdict: "failed", what: `${host} cannot be asked`, cause, fix };
}

/** Why there is no answer to a question about a client that shows nothing; a refusal is one. */
async function askConnect(endpoint: HttpEndpoint): Promise<string | undefined> {
  const stats = new Stats();
  const timeoutMs = Math.min(endpoint.timeoutMs, PATIENCE_MS);
  const callouts = httpCallouts({ endpoint: { ...endpoint, timeoutMs }, stats, log: silent });
  const nobody = { client: "doctor", user: "", protocol: "centrifuge-json", transport: "websocket" };
  const about = { ip: "127.0.0.1", name: "trunkline-doctor", version: "", channels: [], commandHeaders: {} };
  await callouts.connect({ ...nobody, ...about }).catch(() => {});
  const [counted = ""] = stats.callouts.keys();
  const code = counted.slice(counted.lastIndexOf(" ") + 1);
  return code in CAUSES ? CAUSES[code] : `it answers with ${code.replace("_", " ")}`;
}

/** By the code that is counted; what is decided has none. */
const CAUSES: Readonly<Record<string, string | undefined>> = {
  ...{ ok: undefined, error: undefined, disconnect: undefined },
  timeout: "it does not answer in time",
  unreachable: "no connection, or no TLS",
  malformed: "its answer has no result, error or disconnect, or a member that is none of docs/callouts.md",
  too_long: "its answer is too long",
};

/** Why an address cannot be reached. Whatever it answers to a question for its methods, it is there. */
async function reach(
  { url, timeoutMs, addHeaders }: HttpEndpoint,
  event: string,
): Promise<string | undefined> {
  try {
    const signal = AbortSignal.timeout(Math.min(timeoutMs, PATIENCE_MS));
    const options = { method: "OPTIONS", headers: { ...addHeaders }, redirect: "manual", signal } as const;
    const response = await fetch(url.replaceAll("{event}", event), options);
    await response.body?.cancel();
    return undefined;
  } catch (error) {
    return (error as Error).name === "TimeoutError" ? CAUSES.timeout : CAUSES.unreachable;
  }
}
