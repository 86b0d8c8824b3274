import { afterAll, beforeAll, describe } from "bun:test";
import { type Encoding, type TestTransport, testClient } from "../helpers/clients.ts";
import type { EdgeContext, EdgeWorld } from "./edge-context.ts";
import { encodingsTests } from "./edge-encodings.ts";
import { identityTests } from "./edge-identity.ts";
import { messagesTests } from "./edge-messages.ts";
import { operationsTests } from "./edge-operations.ts";
import { positionsTests } from "./edge-positions.ts";

/** Namespaces the suite needs beside the built-in ones. */
export const EDGE_CONFIG = {
  namespaces: {
    cache: {
      history: { size: 10, age: "1h", recoverLimit: 10 },
      recovery: "cache",
      subscribe: "anyone",
      publish: "authenticated",
    },
    brief: {
      history: { size: 10, age: "1s", recoverLimit: 10 },
      recovery: "stream",
      subscribe: "anyone",
      publish: "authenticated",
    },
    short: {
      history: { size: 5, age: "1h", recoverLimit: 5 },
      recovery: "stream",
      subscribe: "anyone",
      publish: "authenticated",
    },
    bytes: {
      format: "binary",
      history: { size: 10, age: "1h", recoverLimit: 10 },
      recovery: "stream",
      subscribe: "anyone",
      publish: "authenticated",
    },
    scores: {
      delta: true,
      history: { size: 10, age: "1h", recoverLimit: 10 },
      recovery: "stream",
      subscribe: "anyone",
      publish: "authenticated",
    },
    "My_app.v2": {
      history: { size: 5, age: "1h", recoverLimit: 5 },
      recovery: "stream",
      presence: true,
      subscribe: "anyone",
      publish: "authenticated",
      historyAccess: "authenticated",
    },
    closed: { subscribe: "token", publish: "token", presence: true },
  },
  ping: { interval: "2s", pongTimeout: "1s" },
  auth: { expiryGrace: "1s" },
  channels: { everyone: ["announcements"] },
} as const;

let next = 0;
const fresh = (namespace: string) => `${namespace}:t${process.pid}-${next++}`;

/** Parts of the suite. */
const PARTS = {
  messages: messagesTests,
  positions: positionsTests,
  identity: identityTests,
  operations: operationsTests,
} as const;

/** What is run of the suite, in each encoding. */
type Selection = Readonly<Partial<Record<Encoding, readonly (keyof typeof PARTS)[]>>>;

const ALL = ["messages", "positions", "identity", "operations"] as const;

/**
 * What stock centrifuge-js clients must be able to do, over the wire, in JSON and in Protobuf, whatever broker, presence
 * and runtime are behind it. Every command of the protocol has its test here.
 */
export function edgeContract(
  name: string,
  make: () => Promise<EdgeWorld>,
  selection: Selection = { json: ALL, protobuf: ALL },
  transport: TestTransport = "websocket",
): void {
  describe(name, () => {
    let world: EdgeWorld;
    beforeAll(async () => {
      world = await make();
    }, 60_000);
    afterAll(async () => {
      await world?.[Symbol.asyncDispose]();
    });
    for (const [encoding, parts] of Object.entries(selection) as [
      Encoding,
      readonly (keyof typeof PARTS)[],
    ][]) {
      const context: EdgeContext = {
        world: () => world,
        transport,
        client: (user, options = {}, instance = "a") =>
          testClient(world[instance].websocket, {
            encoding,
            transport,
            ...(user !== undefined && { user }),
            ...options,
          }),
        fresh,
      };
      if (encoding === "protobuf") encodingsTests(context);
      describe(encoding, () => {
        for (const part of parts) PARTS[part](context);
      });
    }
  });
}
