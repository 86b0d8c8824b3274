import type { ServiceRequest } from "../auth/callout/nats.ts";
import { CommandError, Errors } from "../core/errors.ts";
import { RpcError } from "./rpc-error.ts";
import type { RpcCall, Services } from "./types.ts";

/**
 * Asks the functions, with the shapes of services over NATS, and whoever is in NATS for what there is no function.
 * @param timeoutMs how long a function may take
 */
export function functionServices(
  services: Services,
  timeoutMs: number,
  others: ServiceRequest,
): ServiceRequest {
  return async (service, name, body, headers) => {
    if (service === "rpc") {
      const call = ownOf(services.rpc, name) ?? ownOf(services.rpc, "*");
      if (!call) return await others(service, name, body, headers);
      return await inTime(timeoutMs, answerRpc(call, name, body, headers));
    }
    const own = ownOf(services, name === "sub_refresh" ? "subRefresh" : name);
    if (typeof own !== "function") return await others(service, name, body, headers);
    const answer = (async () => await own(JSON.parse(body) as never))();
    return { data: JSON.stringify((await inTime(timeoutMs, answer)) ?? {}) };
  };
}

/** A member that the app has put there: names come from clients, and every object has more. */
function ownOf<T extends object>(from: T | undefined, name: string): T[keyof T] | undefined {
  return from && Object.hasOwn(from, name) ? from[name as keyof T] : undefined;
}

/** @throws CommandError timeout when it takes longer */
async function inTime<T>(timeoutMs: number, answer: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new CommandError(Errors.timeout)), timeoutMs);
  try {
    return await Promise.race([answer, promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function answerRpc(
  call: (call: RpcCall) => unknown,
  method: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
) {
  const { client, user, ip, info, meta } = from(headers);
  try {
    const result = await call({ method, data: JSON.parse(body), client, user, ip, info, meta });
    return { data: JSON.stringify(result ?? null) };
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    return { data: "", error: { code: error.code, message: error.message } };
  }
}

/** Who asks, as services in NATS are told. */
function from(headers: Readonly<Record<string, string>>): Omit<RpcCall, "method" | "data"> {
  const text = headers["Trunkline-From"];
  return text === undefined ? { client: "", user: "" } : JSON.parse(text);
}

/** What settings the functions need; those that are given go first. */
export function settingsFor({ connect, refresh }: Services): Record<string, unknown> {
  return {
    ...(connect && { "auth.connectCallout": true }),
    ...(refresh && { "auth.refreshCallout": true }),
  };
}
