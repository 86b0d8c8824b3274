import { PUSHER_DENO, PUSHER_DENO_FILE, PUSHER_NATS, PUSHER_NATS_FILE } from "./clients-pusher.ts";
import { CLUSTER, EMBEDDED, type Sdk } from "./types.ts";

/** What needs no SDK. */
export const plainClients: readonly Sdk[] = [
  {
    name: "`EventSource`",
    features: [
      {
        name: "gets missed messages by itself, each once",
        titles: [
          "an EventSource resumes by itself, each message once, in all its channels",
          "a plain EventSource resumes by itself",
        ],
      },
      { name: "the example of the documentation", titles: ["an EventSource"] },
    ],
    runs: [
      ...(["bun", "deno"] as const).map((runtime) => ({
        runsIn: ["Bun"],
        speaks: ["JSON"],
        over: ["one-way SSE"],
        gateway: `${runtime === "bun" ? "Bun" : "Deno"}; ${EMBEDDED}`,
        tests: [
          {
            file: "tests/e2e/streams-one-way.test.ts",
            under: [`one-way clients on ${runtime}`],
            only: ["an EventSource resumes by itself, each message once, in all its channels"],
          },
          ...(runtime === "bun"
            ? [
                {
                  file: "tests/e2e/streams-one-way.test.ts",
                  under: ["the examples of docs/transports.md"],
                  only: ["an EventSource"],
                },
              ]
            : []),
        ],
      })),
      {
        runsIn: ["Chromium"],
        speaks: ["JSON"],
        over: ["one-way SSE"],
        gateway: `Bun and Deno, behind nginx; ${CLUSTER}`,
        tests: [
          {
            file: "tests/e2e/streams-browser.test.ts",
            under: ["a browser without WebSocket"],
            only: ["a plain EventSource resumes by itself"],
          },
        ],
      },
    ],
  },
  {
    name: "`curl -N`",
    features: [{ name: "follows a channel, as the documentation says", titles: ["curl -N"] }],
    runs: [
      {
        runsIn: ["a shell"],
        speaks: ["JSON"],
        over: ["one-way HTTP stream"],
        gateway: `Bun; ${EMBEDDED}`,
        tests: [
          {
            file: "tests/e2e/streams-one-way.test.ts",
            under: ["the examples of docs/transports.md"],
            only: ["curl -N"],
          },
        ],
      },
    ],
  },
  {
    name: "a plain `WebSocket`",
    features: [
      {
        name: "Centrifuge protocol: connect, subscribe, publish, history",
        titles: ["the raw session of docs/protocol.md runs, and gets what the page says"],
      },
      {
        name: "Pusher protocol: handshake, ping, subscribe",
        titles: [
          "begin with the handshake of the protocol, also behind a prefix",
          "a ping is answered",
          "lives on when its WebSocket answers pings and nobody knows the event",
          "that answers nothing is closed with 4201",
          "data may be a string that holds JSON",
        ],
      },
      {
        name: "Pusher protocol: refusals and their codes",
        titles: [
          "with %s are closed with %p",
          "of a foreign page are closed with 4009",
          "a frame with %s ends the connection for good",
          "%s is answered with an error, and the connection lives on",
        ],
      },
    ],
    runs: [
      {
        runsIn: ["Bun"],
        speaks: ["Centrifuge JSON"],
        over: ["WebSocket"],
        gateway: `Bun; ${EMBEDDED}`,
        tests: [{ file: "tests/e2e/protocol-page.test.ts" }],
      },
      ...[
        [PUSHER_NATS_FILE, PUSHER_NATS, `two on Bun; ${CLUSTER}`] as const,
        [PUSHER_DENO_FILE, PUSHER_DENO, `Deno; ${EMBEDDED}`] as const,
      ].map(([file, world, gateway]) => ({
        runsIn: ["Bun"],
        speaks: ["Pusher 7"],
        over: ["WebSocket"],
        gateway,
        tests: [{ file, under: [world, "connections"] }],
      })),
    ],
  },
];
