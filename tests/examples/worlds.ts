import { cp, mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { freePort } from "../../src/process/ports.ts";
import { type Example, exampleFolder, startExample, step } from "../helpers/examples.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";

const CACHE = process.env.TRUNKLINE_COMPAT_CACHE ?? join(tmpdir(), "trunkline-compat");

/** There is no such language on this machine. */
export class Missing extends Error {}

function needs(program: string): void {
  if (!Bun.which(program)) throw new Missing(`there is no ${program} on this machine`);
}

/** A backend of the examples with the gateway and the servers that its README names. */
export interface World extends AsyncDisposable {
  readonly gateway: TestInstance;
  readonly backend: Example;
}

type Command = (folder: string) => Promise<readonly string[]>;

/** Runs a backend from its folder, with the settings beside it. The webhooks of the settings lead to it. */
async function world(name: string, command: readonly string[]): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const [nats, redis] = [stack.use(await natsServer()), stack.use(await redisServer())];
  const port = await freePort();
  const text = await Bun.file(join(exampleFolder(name), "trunkline.json")).text();
  const gateway = stack.use(
    await startInstance({
      config: JSON.parse(text.replace("127.0.0.1:3000", `127.0.0.1:${port}`)) as object,
      env: { NATS_URL: nats.url, REDIS_URL: redis.url, TRUNKLINE_TOKEN_SECRET: SECRET },
    }),
  );
  const env = { NATS_URL: nats.url, PORT: String(port), TRUNKLINE_TOKEN_SECRET: SECRET };
  const url = `http://127.0.0.1:${port}`;
  const backend = stack.use(await startExample(name, { command, env, url }));
  const held = stack.move();
  return { gateway, backend, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

const SECRET = "an-example-secret-that-nobody-should-use";

const python: Command = async (folder) => {
  needs("python3");
  const venv = join(CACHE, "example-fastapi");
  await step(folder, ["python3", "-m", "venv", venv]);
  const interpreter = join(venv, "bin/python");
  await step(folder, [interpreter, "-m", "pip", "install", "-q", "-r", "requirements.txt"]);
  return [interpreter, "app.py"];
};

const go: Command = async (folder) => {
  needs("go");
  const copy = join(CACHE, "example-go");
  await mkdir(CACHE, { recursive: true });
  await cp(folder, copy, { recursive: true });
  const program = join(copy, "program");
  await step(copy, ["go", "vet", "."]);
  await step(copy, ["go", "build", "-o", program, "."]);
  return [program];
};

/** Starts the backends. @throws Missing where the language is not there */
export const worlds = {
  fastapi: async () => world("fastapi", await python(exampleFolder("fastapi"))),
  goOrders: async () => world("go-orders", await go(exampleFolder("go-orders"))),
};

/** The page of the Laravel Echo example behind plain PHP. @throws Missing where PHP is not there */
export async function phpWorld(): Promise<World> {
  needs("php");
  const folder = exampleFolder("laravel-echo");
  await step(folder, [process.execPath, "build", "index.html", "--outdir=dist"]);
  const config = (await Bun.file(join(folder, "trunkline.json")).json()) as object;
  await using stack = new AsyncDisposableStack();
  const gateway = stack.use(await startInstance({ command: "dev", config }));
  const port = await freePort();
  const command = ["php", "-S", `localhost:${port}`, "server.php"];
  const url = `http://localhost:${port}`;
  const backend = stack.use(
    await startExample("laravel-echo", { command, env: { GATEWAY: gateway.url }, url }),
  );
  const held = stack.move();
  return { gateway, backend, [Symbol.asyncDispose]: () => held.disposeAsync() };
}
