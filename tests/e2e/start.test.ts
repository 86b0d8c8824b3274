import { expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { freePort } from "../../src/process/ports.ts";
import { trunkline } from "../helpers/command.ts";
import type { RuntimeName } from "../helpers/instances.ts";
import { ensureServer, natsServer, testServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

const RUNTIMES: readonly RuntimeName[] = ["bun", "deno"];
const ENV = { TRUNKLINE_HOST: "127.0.0.1", TRUNKLINE_ANONYMOUS: "true", TRUNKLINE_LOG_FORMAT: "json" };

/** What keeps an instance from starting, by the step that fails; each with a part of the one sentence that says so. */
async function faults() {
  const stack = new AsyncDisposableStack();
  const taken = stack.adopt(
    Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() }),
    (server) => server.stop(true),
  );
  const locked = stack.use(await natsServer("authorization { user: one, password: right }"));
  const plain = stack.use(
    await testServer(
      (port) => [ensureServer("nats-server"), "-a", "127.0.0.1", "-p", `${port}`],
      (port) => `nats://127.0.0.1:${port}`,
    ),
  );
  const dir = await mkdtemp(join(tmpdir(), "trunkline-tests-"));
  stack.defer(() => rm(dir, { recursive: true }));
  const broken = join(dir, "broken.json");
  await writeFile(broken, "{");
  const port = `${taken.port}`;
  const free = await freePort();
  const login = { TRUNKLINE_NATS_USER: "one", TRUNKLINE_NATS_PASSWORD: "wrong" };
  const list: Readonly<Record<string, readonly [env: Record<string, string>, says: string]>> = {
    "a port that is taken": [{ PORT: port }, `cannot listen on 127.0.0.1, port ${port}`],
    "a second port that is taken": [
      { PORT: "0", TRUNKLINE_ADMIN_PORT: port },
      `cannot listen on 127.0.0.1, port ${port}`,
    ],
    "the same port twice": [
      { PORT: `${free}`, TRUNKLINE_ADMIN_PORT: `${free}` },
      `cannot listen on 127.0.0.1, port ${free}`,
    ],
    "NATS away": [
      { PORT: "0", NATS_URL: "nats://127.0.0.1:1" },
      "no connection to NATS at nats://127.0.0.1:1",
    ],
    "NATS with another password": [
      { PORT: "0", NATS_URL: locked.url, ...login },
      "Check user, password, token or credentials",
    ],
    "NATS without JetStream": [{ PORT: "0", NATS_URL: plain.url }, "nats-server -js"],
    "credentials that are no file": [
      { PORT: "0", NATS_URL: "nats://127.0.0.1:1", TRUNKLINE_NATS_CREDENTIALS_FILE: join(dir, "none.creds") },
      "check nats.credentialsFile",
    ],
    "a configuration that is no file": [
      { PORT: "0", TRUNKLINE_CONFIG: join(dir, "none.json") },
      "cannot read the configuration file",
    ],
    "a configuration that is broken": [{ PORT: "0", TRUNKLINE_CONFIG: broken }, "not valid JSON"],
  };
  return { list, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Commands that start an instance. */
const COMMANDS = [["serve"], ["dev"]] as const;

test.each([...RUNTIMES])(
  "on %s a start that fails ends with 1, and says why in one sentence, whatever failed",
  async (runtime) => {
    await using found = await faults();
    const runs = COMMANDS.flatMap((command) =>
      Object.entries(found.list).map((fault) => [command, fault] as const),
    );
    // Redis away is no reason not to start: it is in no row.
    await Promise.all(
      runs.map(async ([command, [fault, [env, says]]]) => {
        const { code, err } = await trunkline(command, { runtime, env: { ...ENV, ...env } });
        // What `dev` warns of stands before it.
        const said = err
          .trim()
          .split("\n")
          .filter((line) => !line.startsWith("INSECURE"));
        const where = `${command[0]}: ${fault}`;
        expect([where, code, /^\s+at /m.test(err)], err).toEqual([where, 1, false]);
        expect(said.join(" "), where).toContain(says);
        expect([where, said.filter((line) => line.startsWith("trunkline:")).length]).toEqual([where, 1]);
      }),
    );
  },
  60_000,
);

test("a worker that cannot start ends the supervisor with 1, and all workers with it", async () => {
  await using nats = await natsServer();
  await using taken = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const env = { ...ENV, PORT: "0", NATS_URL: nats.url, TRUNKLINE_ADMIN_PORT: `${taken.port! - 2}` };
  const { code, out, err } = await trunkline(["serve", "--workers", "2"], { env });
  expect([code, err.trim()]).toEqual([
    1,
    expect.stringContaining(`cannot listen on 127.0.0.1, port ${taken.port}`),
  ]);
  const lines = out
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as object);
  const said = (line: object) =>
    expect(lines).toContainEqual(expect.objectContaining({ at: "workers", ...line }));
  said({ message: "a worker did not start", worker: 2, code: 1 });
  said({ message: "all workers have left", code: 1 });
}, 30_000);

test.each([...RUNTIMES])(
  "on %s an instance that is told to stop while it starts, ends in order",
  async (runtime) => {
    // Accepts and says nothing: the start waits for it.
    await using mute = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data() {}, open: () => void connected++ },
    });
    let connected = 0;
    let pid = 0;
    const env = { ...ENV, PORT: "0", NATS_URL: `nats://127.0.0.1:${mute.port}` };
    const ended = trunkline(["serve"], {
      runtime,
      env,
      started: (child) => {
        pid = child;
      },
    });
    await until(() => connected > 0, { what: "a connection to NATS", timeoutMs: 20_000 });
    process.kill(pid, "SIGTERM");
    const { code, out, err } = await ended;
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain("stopped while starting");
  },
);
