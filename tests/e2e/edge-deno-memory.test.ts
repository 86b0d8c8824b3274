import { EDGE_CONFIG, edgeContract } from "../contract/edge.ts";
import { startInstance } from "../helpers/instances.ts";

edgeContract(
  "edge on Deno: embedded broker, embedded presence",
  async () => {
    const instance = await startInstance({ runtime: "deno", config: EDGE_CONFIG });
    return { a: instance, b: instance, [Symbol.asyncDispose]: () => instance[Symbol.asyncDispose]() };
  },
  { json: ["messages", "positions", "identity", "operations"], protobuf: ["messages", "positions"] },
);
