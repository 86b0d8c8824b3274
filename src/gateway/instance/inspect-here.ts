import type { GatewayContext } from "../context.ts";
import { mayAccess } from "../subscribe/access.ts";
import { type Inspected, type InspectRequest, inspect } from "./inspect.ts";

/** Looks at this instance, with the rights of its clients; changes nothing. */
export function inspectHere(context: GatewayContext, request: InspectRequest): Inspected {
  const { instance, region, hub, broker, overloaded, troubles, messageTroubles } = context;
  return inspect(
    {
      ...{ instance, region, hub, broker, overloaded, troubles, messageTroubles },
      mayAccess: (session, channel, permission) => mayAccess(context, session, channel, permission),
    },
    request,
  );
}
