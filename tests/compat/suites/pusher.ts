import { join } from "node:path";
import type { Socket } from "bun";
import Pusher from "pusher";
import { certificates } from "../../helpers/certificates.ts";
import type { TestInstance } from "../../helpers/instances.ts";
import { pointAt, step } from "./sources.ts";
import type { Suite, SuiteTest } from "./suite.ts";

const SECRET = "a-secret-of-the-suites";
/** The keys that the specs have, of apps in two clusters: here of one app. */
const KEYS = ["c49a449b916bb4246729", "cb7d5e50f5669e5c9ae6"] as const;

/** What integration specs are built with; the rest is for browsers, and some of it comes from Git alone. */
const NEEDED = [
  ...[
    "typescript",
    "ts-loader",
    "webpack",
    "webpack-cli",
    "webpack-merge",
    "source-map-loader",
    "xmlhttprequest",
  ],
  ...["jasmine", "jasmine-spec-reporter", "faye-websocket", "buffer", "isomorphic-fetch", "@types/node"],
  ...[
    "@stablelib/base64",
    "@stablelib/utf8",
    "@react-native-community/netinfo",
    "@types/express-serve-static-core",
  ],
];

const REPORTER = `const fs = require("node:fs");
jasmine.getEnv().clearReporters();
jasmine.getEnv().addReporter({
  specDone: ({ fullName, status }) => fs.appendFileSync("report.jsonl", JSON.stringify({ fullName, status }) + "\\n"),
});
`;

/** TLS in front of an instance: half of the specs connect with it. */
function tlsBefore(instance: TestInstance, { cert, key }: { cert: string; key: string }) {
  const port = Number(new URL(instance.url).port);
  type Pair = { readonly other: Promise<Socket<undefined>> };
  return Bun.listen<Pair | undefined>({
    hostname: "127.0.0.1",
    port: 0,
    tls: { cert: Bun.file(cert), key: Bun.file(key) },
    socket: {
      open(near) {
        near.data = {
          other: Bun.connect({
            hostname: "127.0.0.1",
            port,
            socket: { data: (_far, bytes) => void near.write(bytes), close: () => void near.end() },
          }),
        };
      },
      data: (near, bytes) => void near.data?.other.then((far) => far.write(bytes)),
      close: (near) => void near.data?.other.then((far) => far.end()),
    },
  });
}

/** What the suite's own server does for it: signs for channels, and sends events. */
function appServer(instance: TestInstance) {
  const { hostname: host, port } = new URL(instance.url);
  const pusher = new Pusher({ appId: "1", key: KEYS[0], secret: SECRET, host, port, useTLS: false });
  return Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    routes: {
      "/auth": async (request) => {
        const form = new URLSearchParams(await request.text());
        const id = form.get("socket_id") ?? "";
        const user_info = { name: `Integration ${id}`, email: `integration-${id}@example.com` };
        return Response.json(
          pusher.authorizeChannel(id, form.get("channel_name") ?? "", { user_id: id, user_info }),
        );
      },
      "/v2/send/:id": async (request) => {
        const query = new URL(request.url).searchParams;
        const said = (name: string) => Buffer.from(query.get(name) ?? "", "base64").toString();
        await pusher.trigger(said("channel"), said("event"), JSON.parse(said("data")));
        return new Response("");
      },
    },
  });
}

async function prepare(folder: string): Promise<void> {
  const file = join(folder, "package.json");
  const packages = (await Bun.file(file).json()) as { devDependencies: Record<string, string> };
  const wanted = Object.entries(packages.devDependencies).filter(([name]) => NEEDED.includes(name));
  await Bun.write(
    file,
    JSON.stringify({ ...packages, devDependencies: Object.fromEntries(wanted), overrides: {} }),
  );
  await Bun.write(join(folder, "spec/config/jasmine/helpers/reporter.js"), REPORTER);
  await step(folder, ["rm", "-f", "package-lock.json"]);
  await step(folder, ["npm", "install", "--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund"]);
  await step(folder, ["npx", "webpack", "--config=spec/config/jasmine/webpack.integration.js"]);
}

/** The specs of pusher-js that connect to a server, in Node. */
export const PUSHER_SUITE: Suite = {
  sdk: "pusher-js",
  language: "JavaScript",
  version: "8.6.0",
  from: { repository: "pusher/pusher-js", tag: "v8.6.0" },
  changed: "an address in place of each cluster; our own server signs and sends, with the stock SDK",
  config: {
    namespaces: { pusher: { presence: true, joinLeave: "user", history: { size: 100, age: "5m" } } },
    apps: [
      {
        id: "1",
        keys: KEYS.map((key) => ({ key, secret: SECRET })),
        namespace: "pusher",
        clientEvents: true,
      },
    ],
  },
  async run(folder, instance) {
    await using certs = await certificates();
    const tls = tlsBefore(instance, certs.server);
    const app = appServer(instance);
    try {
      const [http, https] = [new URL(instance.url).port, tls.port];
      const address = `wsHost: "localhost", wsPort: ${http}, wssPort: ${https}`;
      await pointAt(instance, folder, "spec/javascripts/{integration,helpers}/**/*.js", {
        'cluster: "mt1"': `cluster: "mt1", ${address}`,
        'cluster: "eu"': `cluster: "eu", ${address}`,
        "http://localhost:3000": app.url.origin,
        "http://localhost:3001": app.url.origin,
      });
      await prepare(folder);
      await step(folder, ["npx", "jasmine", "--config=spec/config/jasmine/integration.json"], {
        env: { NODE_EXTRA_CA_CERTS: certs.ca },
        mayFail: true,
      });
      const lines = (await Bun.file(join(folder, "report.jsonl")).text()).trim().split("\n");
      return lines.map((line): SuiteTest => {
        const { fullName, status } = JSON.parse(line) as { fullName: string; status: string };
        return { name: fullName, outcome: status === "passed" || status === "failed" ? status : "skipped" };
      });
    } finally {
      tls.stop(true);
      await app.stop(true);
    }
  },
};
