import { createRequire } from "node:module";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type Children, started } from "../../../process/children.ts";
import { LOOPBACK } from "../../../process/ports.ts";
import { endpointsOf, listenOn } from "./address.ts";
import { httpPublisher } from "./publish.ts";
import type { Target, TargetKind } from "./target.ts";

interface Control {
  readonly name: string;
  /** File in `bench/`. */
  readonly file: string;
  readonly dialect: "bare" | "socketio";
  /** Program that runs it; default: the runtime of this process. */
  readonly command?: string;
  /** Package it needs. */
  readonly needs?: string;
}

/** Plain `Bun.serve`: what the runtime itself can do. */
export const plainBun = control({ name: "plain Bun", file: "control-bun.ts", dialect: "bare" });

/** The most used server library, under Node. */
export const plainWs = control({
  name: "ws on Node",
  file: "control-ws.mjs",
  dialect: "bare",
  command: "node",
  needs: "ws",
});

/** What many projects use instead of a gateway, under Node. */
export const socketIo = control({
  name: "Socket.IO",
  file: "control-socketio.mjs",
  dialect: "socketio",
  command: "node",
  needs: "socket.io",
});

/** A server without authentication or history: the least its library can do for channels. */
function control({ name, file, dialect, command, needs }: Control): TargetKind {
  const script = fileURLToPath(new URL(`../../../../bench/${file}`, import.meta.url).href);
  return {
    name,
    via: "HTTP",
    connected: false,
    get version() {
      return versionOf(command, needs);
    },
    async unavailable() {
      if (command && !Bun.which(command)) return `${command} is not on PATH`;
      if (needs && !manifestOf(needs)) return `the package ${needs} is not installed (npm ci)`;
      return undefined;
    },
    async start(children, { instances, clients }) {
      const env = { ...process.env, HOST: listenOn(clients), PORT: "0" };
      const servers = await Promise.all(
        Array.from({ length: instances }, () => launch(children, { command, script, name, env })),
      );
      return {
        endpoints: endpointsOf(
          servers.map(({ port }) => port),
          clients,
        ),
        dialect,
        channel: "bench",
        present: "bench",
        inbox: "inbox-",
        secret: "",
        pids: servers.map(({ pid }) => pid),
        publisher: httpPublisher(
          servers.map(({ port }) => `http://${LOOPBACK}:${port}/publish`),
          (channel, body) => ({ query: `?channel=${encodeURIComponent(channel)}`, body }),
        ),
        usage: async () => ({}),
        async [Symbol.asyncDispose]() {
          await Promise.all(servers.map(({ stop }) => stop()));
        },
      } satisfies Target;
    },
  };
}

interface Launch {
  readonly command: string | undefined;
  readonly script: string;
  readonly name: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

async function launch(children: Children, { command, script, name, env }: Launch) {
  const child = children.start({ role: "server", ...(command && { command }), args: [script], env });
  const address = await started(child, name, () => /^ws:\/\/\S+/m.exec(child.output())?.[0]);
  return { port: Number(new URL(address).port), pid: child.process.pid!, stop: child.stop };
}

function versionOf(command: string | undefined, needs: string | undefined): string {
  const runtime = command
    ? `${command} ${Bun.spawnSync([command, "--version"]).stdout.toString().trim().replace(/^v/, "")}`
    : `bun ${process.versions.bun}`;
  return needs ? `${needs} ${manifestOf(needs)?.version} on ${runtime}` : runtime;
}

function manifestOf(name: string): { readonly version: string } | undefined {
  try {
    return createRequire(import.meta.url)(`${name}/package.json`);
  } catch {
    return undefined; // not installed
  }
}
