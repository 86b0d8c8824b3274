import { pusherFeatures, serverFeatures } from "./features.ts";
import { CLUSTER, EMBEDDED, type Sdk, type Selection } from "./types.ts";

export const PUSHER_NATS = "Pusher on Bun: two instances, JetStream, Redis over RESP";
export const PUSHER_DENO = "Pusher on Deno: one instance with everything embedded";
export const PUSHER_NATS_FILE = "tests/e2e/pusher-bun-nats.test.ts";
export const PUSHER_DENO_FILE = "tests/e2e/pusher-deno-memory.test.ts";
const PUSHER_CLIENTS = "tests/e2e/pusher-clients.test.ts";

/** What the contract of the Pusher protocol says of stock clients; what it says of frames no SDK sends is below. */
const stock = (file: string, world: string): Selection[] => [
  { file, under: [world, "connections"], only: ["a stock client that is refused does not come back"] },
  ...["channels", "cache channels", "client events", "presence channels", "signed-in users"].map((part) => ({
    file,
    under: [world, part],
  })),
  { file, under: [world] },
];

/** SDKs of the Pusher protocol that the tests run. */
export const pusherClients: readonly Sdk[] = [
  {
    name: "pusher-js",
    package: "pusher-js",
    features: pusherFeatures,
    runs: [
      {
        runsIn: ["Bun"],
        speaks: ["Pusher 7"],
        over: ["WebSocket"],
        gateway: `two on Bun; ${CLUSTER}`,
        tests: [
          ...stock(PUSHER_NATS_FILE, PUSHER_NATS),
          {
            file: "tests/e2e/webhooks.test.ts",
            under: ["on NATS and Redis"],
            only: ["client events, misses of caches and counts are told of stock Pusher clients"],
          },
        ],
      },
      {
        runsIn: ["Bun"],
        speaks: ["Pusher 7"],
        over: ["WebSocket"],
        gateway: `Deno; ${EMBEDDED}`,
        tests: stock(PUSHER_DENO_FILE, PUSHER_DENO),
      },
      {
        runsIn: ["Bun"],
        speaks: ["Pusher 7"],
        over: ["WebSocket"],
        gateway: `two on Bun that are killed, restarted, drained; ${CLUSTER}`,
        tests: [
          {
            file: "tests/e2e/pusher-resume.test.ts",
            only: [
              "with the add-on a stock client misses nothing and gets nothing twice: kill -9, restart, drain",
            ],
          },
          { file: "tests/e2e/pusher-crash.test.ts" },
          {
            file: PUSHER_CLIENTS,
            only: ["a drain closes stock clients in waves with a code that makes them wait"],
          },
        ],
      },
      {
        runsIn: ["Bun"],
        speaks: ["Pusher 7"],
        over: ["WebSocket"],
        gateway: `two on Bun; ${CLUSTER}`,
        tests: [
          {
            file: "tests/e2e/pusher-resume.test.ts",
            only: [
              "what a connection was left out of does not come when it resumes, and a lost past is told",
            ],
          },
        ],
      },
      {
        runsIn: ["Node"],
        speaks: ["Pusher 7"],
        over: ["WebSocket"],
        gateway: `two on Bun; ${CLUSTER}`,
        tests: [{ file: PUSHER_CLIENTS, only: ["stock pusher-js in Node"] }],
      },
      {
        runsIn: ["Chromium"],
        speaks: ["Pusher 7"],
        over: ["WebSocket"],
        gateway: `two on Bun; ${CLUSTER}`,
        tests: [{ file: PUSHER_CLIENTS, only: ["stock pusher-js in Chromium, with the add-on"] }],
      },
    ],
  },
  {
    name: "Laravel Echo",
    package: "laravel-echo",
    features: [
      {
        name: "public, private and presence channels; events of the server SDK; whispers; here, joining, leaving",
        titles: ["stock Laravel Echo: channels, whispers, presence"],
      },
    ],
    runs: [
      {
        runsIn: ["Bun"],
        speaks: ["Pusher 7"],
        over: ["WebSocket"],
        gateway: `Bun; ${EMBEDDED}`,
        tests: [{ file: PUSHER_CLIENTS, only: ["stock Laravel Echo: channels, whispers, presence"] }],
      },
    ],
  },
  {
    name: "Pusher server SDK for Node",
    package: "pusher",
    features: serverFeatures,
    runs: [
      {
        runsIn: ["Bun"],
        speaks: ["Pusher HTTP API"],
        over: ["HTTP"],
        gateway: `two on Bun; ${CLUSTER}`,
        tests: [
          { file: "tests/e2e/pusher-http.test.ts", under: ["the stock server SDK"] },
          {
            file: PUSHER_NATS_FILE,
            under: [PUSHER_NATS, "channels"],
            only: [
              "bring events of the server SDK as they were sent, on every instance",
              "leave out the connection a publish excepts",
              "%s… want a signature of the app, with any of its keys",
            ],
          },
          {
            file: PUSHER_NATS_FILE,
            under: [PUSHER_NATS],
            only: ["encrypted channels carry what the gateway cannot read"],
          },
          {
            file: "tests/e2e/webhooks.test.ts",
            under: ["on NATS and Redis"],
            only: ["who comes and goes is told once, in order, signed, to those who ask"],
          },
        ],
      },
    ],
  },
];
