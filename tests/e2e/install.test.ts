import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, normalize } from "node:path";
import { freePort } from "../../src/process/ports.ts";
import { until } from "../helpers/until.ts";

const ROOT = join(import.meta.dir, "../..");

/** A machine with Node and npm alone, and the packed product installed in an empty folder of it. */
const APP_TEST = `
import { expect, test } from "bun:test";
import { Centrifuge } from "centrifuge";
import { testTrunkline, until } from "trunkline/testing";

test("a client gets what the app publishes", async () => {
  await using trunkline = await testTrunkline();
  const client = new Centrifuge(trunkline.websocketUrl);
  const room = client.newSubscription("chat:1");
  const received: unknown[] = [];
  room.on("publication", ({ data }) => received.push(data));
  room.subscribe();
  client.connect();
  await room.ready();
  await trunkline.publish("chat:1", "hello");
  await until(() => received.length > 0);
  expect(received).toEqual(["hello"]);
  client.disconnect();
});
`;

const APP_TYPES = `
import { createTrunkline, RpcError } from "trunkline";

const trunkline = await createTrunkline({
  settings: { auth: { tokenSecret: "x".repeat(40) } },
  connect: ({ token }) => (token ? { user: token } : { error: { code: 401, message: "sign in" } }),
  rpc: {
    fail({ user }) {
      throw new RpcError(400, user);
    },
  },
});
Bun.serve({ fetch: (request, server) => trunkline.fetch(request, server), websocket: trunkline.websocket });
const { offset } = await trunkline.publish("chat:1", { text: "hi" });
const who: string[] = (await trunkline.presence("chat:1")).members.map(({ user }) => user);
// @ts-expect-error: a channel is text
await trunkline.publish(offset, who);
`;

let dir = "";
let app = "";
let path = "";
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "trunkline-install-"));
  const bin = join(dir, "bin");
  mkdirSync(bin);
  for (const name of ["node", "npm", "npx", "sh", "env"]) {
    const found = Bun.which(name);
    if (found) symlinkSync(found, join(bin, name));
  }
  path = bin;
  app = join(dir, "app");
  mkdirSync(app);
  writeFileSync(join(app, "package.json"), '{ "type": "module" }');
  expect(await run(ROOT, "npm", "pack", "--pack-destination", dir)).toMatchObject({
    code: 0,
  });
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
  const installed = await run(
    app,
    "npm",
    "install",
    "--prefer-offline",
    join(dir, `trunkline-${version}.tgz`),
  );
  expect(installed).toMatchObject({ code: 0 });
}, 120_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function start(cwd: string, command: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return Bun.spawn([...command], {
    cwd,
    env: { PATH: path, HOME: process.env.HOME ?? dir, NO_COLOR: "1", ...env },
    ...{ stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  });
}

async function run(cwd: string, ...command: readonly string[]) {
  const [program = "", ...args] = command;
  const child = start(cwd, [program.includes("/") ? program : join(path, program), ...args]);
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, out, err };
}

describe("the package, on a machine that has Node alone", () => {
  test("runs by npx, with the Bun that came with it", async () => {
    expect(await run(app, "npx", "trunkline", "--version")).toMatchObject({ code: 0, out: "0.1.0\n" });
    const { code, err } = await run(app, "npx", "trunkline", "token", "--user", "ann");
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining("trunkline:") });
  }, 30_000);

  test("dev shows its page, passes signals on, and ends as the program ends", async () => {
    const port = await freePort();
    const launcher = join(app, "node_modules/.bin/trunkline");
    const child = start(app, [join(path, "node"), launcher, "dev"], { PORT: `${port}` });
    const page = () => fetch(`http://127.0.0.1:${port}/`).catch(() => undefined);
    await until(async () => (await page())?.ok, { what: "dev to be up", timeoutMs: 20_000 });
    expect((await fetch(`http://127.0.0.1:${port}/assets/centrifuge.js`)).status).toBe(200);
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    expect(await page()).toBeUndefined();
  }, 40_000);

  test("an app mounts it, and tests itself with it; the types say so, too", async () => {
    writeFileSync(join(app, "app.test.ts"), APP_TEST);
    const bun = join(app, "node_modules/.bin/bun");
    const tested = await run(app, bun, "test", "app.test.ts");
    expect(tested).toMatchObject({ code: 0, err: expect.stringContaining("1 pass") });
    writeFileSync(join(app, "app.ts"), APP_TYPES);
    for (const name of ["bun", "node"]) {
      const types = join(app, "node_modules/@types", name);
      if (!existsSync(types)) symlinkSync(join(ROOT, "node_modules/@types", name), types);
    }
    const flags = "--noEmit --strict --target esnext --module nodenext --types bun".split(" ");
    const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
    const checked = await run(app, "node", tsc, ...flags, "app.ts");
    expect(checked.out).toBe("");
  }, 60_000);

  test("every link of README leads to a file that is in it", () => {
    const installed = join(app, "node_modules/trunkline");
    const readme = readFileSync(join(installed, "README.md"), "utf8");
    const links = [...readme.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, link]) => link!);
    const own = links.filter((link) => !/^[a-z]+:/.test(link));
    expect(own.length).toBeGreaterThan(10);
    const missing = own.filter(
      (link) => !existsSync(normalize(join(dirname(join(installed, "README.md")), link))),
    );
    expect(missing).toEqual([]);
  });
});
