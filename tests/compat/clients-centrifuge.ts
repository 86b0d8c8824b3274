import { centrifugeFeatures } from "./features.ts";
import { CLUSTER, EMBEDDED, type Run, type Sdk } from "./types.ts";

const STREAMS = "tests/e2e/edge-streams.test.ts";

/** Runs of the contract of centrifuge-js in one file: its world's title, and the encodings. */
function edge(
  file: string,
  world: string,
  gateway: string,
  encodings: readonly ("json" | "protobuf")[],
  transport = "WebSocket",
): Run[] {
  return encodings.map((encoding) => ({
    runsIn: ["Bun"],
    speaks: [encoding === "json" ? "JSON" : "Protobuf"],
    over: [transport],
    gateway,
    tests: [
      { file, under: [world, encoding] },
      // What clients of both encodings do together stands beside the two.
      ...(encoding === "protobuf" ? [{ file, under: [world] }] : []),
    ],
  }));
}

const BOTH = ["json", "protobuf"] as const;

/** The SDK of the Centrifuge protocol that the tests run. */
export const centrifugeClients: readonly Sdk[] = [
  {
    name: "centrifuge-js",
    package: "centrifuge",
    features: centrifugeFeatures,
    runs: [
      ...edge(
        "tests/e2e/edge-bun-memory.test.ts",
        "edge on Bun: embedded broker, embedded presence",
        `Bun; ${EMBEDDED}`,
        BOTH,
      ),
      ...edge(
        "tests/e2e/edge-bun-nats.test.ts",
        "edge on Bun: two instances, JetStream, Redis over RESP",
        `two on Bun; ${CLUSTER}`,
        BOTH,
      ),
      ...edge(
        "tests/e2e/edge-deno-memory.test.ts",
        "edge on Deno: embedded broker, embedded presence",
        `Deno; ${EMBEDDED}`,
        BOTH,
      ),
      ...edge(
        "tests/e2e/edge-deno-nats.test.ts",
        "edge on Deno and Bun: two instances, JetStream, Redis over REST",
        "Deno and Bun; JetStream, Redis over REST",
        ["json"],
      ),
      ...edge(
        STREAMS,
        "edge on Bun by HTTP streaming: embedded broker, embedded presence",
        `Bun; ${EMBEDDED}`,
        BOTH,
        "HTTP streaming",
      ),
      ...edge(
        STREAMS,
        "edge on Deno by server-sent events: embedded broker, embedded presence",
        `Deno; ${EMBEDDED}`,
        ["json"],
        "SSE",
      ),
      ...[
        ["http_stream", "HTTP streaming", ["JSON", "Protobuf"]] as const,
        ["sse", "SSE", ["JSON"]] as const,
      ].map(([name, transport, speaks]) => ({
        runsIn: ["Bun"],
        speaks,
        over: [transport],
        gateway: `two on Bun, one on Deno; ${CLUSTER}`,
        tests: [{ file: "tests/e2e/streams.test.ts", under: [`${name}: two instances, no sticky sessions`] }],
      })),
      {
        runsIn: ["Bun"],
        speaks: ["JSON"],
        over: ["WebSocket"],
        gateway: `two on Bun, one of which drains; ${CLUSTER}`,
        tests: [
          {
            file: "tests/e2e/drain.test.ts",
            only: [
              "three hundred clients move to another instance in waves: nothing lost, nobody seen to leave who came back",
            ],
          },
        ],
      },
      ...["nginx", "haproxy"].map((proxy) => ({
        runsIn: ["Bun"],
        speaks: ["JSON"],
        over: ["WebSocket"],
        gateway: `Bun, TLS by ${proxy === "nginx" ? "nginx" : "HAProxy"}`,
        tests: [
          {
            file: "tests/e2e/deploy-proxies.test.ts",
            under: [proxy],
            only: [
              "passes WebSockets, keeps a silent one past its own time-out, and shows neither metrics nor tokens",
              "sends nobody to an instance that drains",
            ],
          },
        ],
      })),
      {
        runsIn: ["Bun", "Node", "Chromium"],
        speaks: ["JSON"],
        over: ["WebSocket"],
        gateway: `two on Bun, one of which is killed; ${CLUSTER}`,
        tests: [{ file: "tests/e2e/main-job.test.ts" }],
      },
      {
        runsIn: ["Bun"],
        speaks: ["JSON"],
        over: ["WebSocket"],
        gateway: "three regions on Bun, a super-cluster with latencies; JetStream, Redis",
        tests: [
          {
            file: "tests/e2e/regions-routing.test.ts",
            only: [
              "a far region answers history and recovery from its copy, and asks the home for what that has not got yet",
              "after a cut between two regions everything arrives in order, also where silence follows",
              "while the home is dead a far region serves what its copy has, even from an instance started then; nothing is lost",
            ],
          },
        ],
      },
      {
        runsIn: ["Chromium"],
        speaks: ["JSON"],
        over: ["WebSocket"],
        gateway: `three regions on Bun, with latencies; ${CLUSTER}`,
        tests: [
          {
            file: "tests/e2e/regions.test.ts",
            only: [
              "nearest.js orders regions by round trip in a browser, and a stock client moves on when its region dies",
            ],
          },
        ],
      },
      {
        runsIn: ["Chromium"],
        speaks: ["JSON"],
        over: ["HTTP streaming", "SSE"],
        gateway: `Bun and Deno, behind nginx; ${CLUSTER}`,
        tests: [
          {
            file: "tests/e2e/streams-browser.test.ts",
            under: ["a browser without WebSocket"],
            only: ["centrifuge-js falls back to HTTP streaming or SSE, and recovers when that breaks"],
          },
        ],
      },
      {
        runsIn: ["Chromium"],
        speaks: ["JSON"],
        over: ["WebSocket"],
        gateway: `Bun; ${EMBEDDED}`,
        tests: [
          {
            file: "tests/e2e/demo-page.test.ts",
            under: ["the demo page"],
            only: [
              "two people see each other, and what they and a service say, with the position",
              "a broken link: what was missed arrives once, in order, and what was typed meanwhile is sent once",
              "the inbox gets what is sent to the user: before they came, at once, and after a broken link",
              "a reload comes back into the room; another room in the address leads there",
            ],
          },
        ],
      },
    ],
  },
];
