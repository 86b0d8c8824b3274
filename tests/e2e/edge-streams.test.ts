import { EDGE_CONFIG, edgeContract } from "../contract/edge.ts";
import { type RuntimeName, startInstance } from "../helpers/instances.ts";

const alone = (runtime: RuntimeName) => async () => {
  const instance = await startInstance({ runtime, config: EDGE_CONFIG });
  return { a: instance, b: instance, [Symbol.asyncDispose]: () => instance[Symbol.asyncDispose]() };
};

edgeContract(
  "edge on Bun by HTTP streaming: embedded broker, embedded presence",
  alone("bun"),
  { json: ["messages", "positions", "identity", "operations"], protobuf: ["messages"] },
  "http_stream",
);

edgeContract(
  "edge on Deno by server-sent events: embedded broker, embedded presence",
  alone("deno"),
  { json: ["messages", "identity", "operations"] },
  "sse",
);
