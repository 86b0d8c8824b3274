import type { Callouts, FindCallouts } from "../auth.ts";
import { type HttpCalloutOptions, type HttpEndpoint, httpCallouts } from "./http.ts";

/**
 * The services that settings name: `true` is whoever answers over NATS, a name one of the endpoints.
 * @throws (the function that is returned) Error for a name that no endpoint has: settings are checked before
 */
export function findCallouts(
  nats: Callouts,
  endpoints: readonly HttpEndpoint[],
  deps: Omit<HttpCalloutOptions, "endpoint">,
): FindCallouts {
  const byName = new Map(endpoints.map((endpoint) => [endpoint.name, httpCallouts({ endpoint, ...deps })]));
  return (target) => {
    const found = target === true ? nats : byName.get(target);
    if (!found) throw new Error(`there is no endpoint ${String(target)}`);
    return found;
  };
}
