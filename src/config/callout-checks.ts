import { meant } from "../core/meant.ts";
import { endpointProblems } from "./callouts.ts";
import type { Config } from "./table.ts";

/** Names of endpoints that are none, and what would be sent in the open. */
export function* calloutChecks({ auth, callouts, rpc, namespaces, insecure }: Config): Generator<string> {
  const named: [key: string, target: boolean | string][] = [
    ["auth.connectCallout", auth.connectCallout],
    ["auth.refreshCallout", auth.refreshCallout],
  ];
  for (const [name, to] of Object.entries(rpc.callouts)) named.push([`rpc.callouts.${name}`, to]);
  for (const { name, subscribeCallout, publishCallout, subRefreshCallout } of namespaces.values()) {
    for (const [key, to] of Object.entries({ subscribeCallout, publishCallout, subRefreshCallout })) {
      named.push([`namespaces.${name}.${key}`, to]);
    }
  }
  const known = Object.keys(callouts.endpoints);
  for (const [key, to] of named) {
    if (typeof to !== "string" || known.includes(to)) continue;
    yield `${key}: there is no endpoint ${to}${meant(to, known)}; add it to callouts.endpoints`;
  }
  yield* endpointProblems(callouts.endpoints, insecure);
}
