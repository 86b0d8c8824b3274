import { endpoints, jsonFromEnv, rpcCallouts, showEndpoints } from "./callouts.ts";
import { calloutSetting, structure } from "./setting.ts";

/** Settings of who is asked about clients, beside their namespaces'. */
export const callouts = {
  "auth.connectCallout": calloutSetting({
    default: false,
    env: ["TRUNKLINE_CONNECT_CALLOUT"],
    doc:
      "If a client has no token, ask a service who it is: `true` the one on `rtauth.connect`, a name that " +
      "[endpoint](callouts.md).",
  }),
  "auth.refreshCallout": calloutSetting({
    default: false,
    doc:
      "When a connection expires, ask a service whether it goes on (`true`: the one on `rtauth.refresh`), instead of " +
      "letting the client bring a new token.",
  }),
  "callouts.endpoints": structure(
    endpoints,
    "an object of endpoints by name",
    {
      default: {},
      secret: "parts",
      fromEnv: jsonFromEnv,
      doc:
        "Addresses of backends that are asked over HTTP. Each has `url`; [callouts.md](callouts.md) lists all members. " +
        "The variable holds the same object as JSON.",
    },
    showEndpoints,
  ),
  "rpc.callouts": structure(
    rpcCallouts,
    "an object: who is asked, by what stands before a method's first colon",
    {
      default: {},
      fromEnv: jsonFromEnv,
      doc:
        "Who is asked for RPCs: the name of an endpoint, or `true` for services on `rtrpc.<method>`. `default` is for " +
        "methods without a colon, `*` for all that are not named. Without it, all go to NATS. The variable holds JSON.",
    },
    (value) => value,
  ),
} as const;
