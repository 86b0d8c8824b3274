import { z } from "zod";
import type { Broker } from "../broker/broker.ts";
import { CommandError, Errors } from "../core/errors.ts";
import { isDeeper, rawMember } from "../core/json-text.ts";
import { writeJson } from "../core/json-value.ts";
import { fromHeaders, under } from "../core/tracing.ts";
import { type ApiDeps, caller, MAX_DEPTH } from "./api.ts";

const callShape = z.object({ method: z.string(), params: z.unknown().optional() });

/** Longest answer, UTF-16 units: with room to spare within what a NATS server carries as it comes (1 MiB). */
const LONGEST = 300_000;

/**
 * Answers `rtctl.api` for operators: `{method, params}` of the server API, by one instance for all, with the answer that
 * the API gives over HTTP. Returns the end of it.
 */
export function serveApiOverNats(
  broker: Pick<Broker, "serve">,
  deps: Pick<ApiDeps, "operations" | "stats" | "log" | "tracing">,
): () => void {
  const answer = caller(deps);
  return broker.serve("control", "api", async (body, headers) => {
    const call = isDeeper(body, MAX_DEPTH) ? undefined : callOf(body);
    if (!call) throw new CommandError(Errors.badRequest, "not a call of the server API");
    const from = fromHeaders(deps.tracing, "service", (name) => headers[name]);
    const answered = under(deps.tracing, from, () => answer(call.method, rawMember(body, "params")));
    const text = writeJson(await answered);
    // What is not ASCII takes up to three bytes.
    if (text.length > LONGEST)
      throw new CommandError(Errors.limitExceeded, "the answer is too long for NATS: ask over HTTP");
    return text;
  });
}

function callOf(body: string): { method: string } | undefined {
  try {
    return callShape.safeParse(JSON.parse(body)).data;
  } catch {
    return undefined;
  }
}
