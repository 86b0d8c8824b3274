import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { testClient } from "../helpers/clients.ts";
import { trunkline } from "../helpers/command.ts";
import { buildImage, type Image } from "../helpers/image.ts";
import { startInstance } from "../helpers/instances.ts";
import { OtlpReceiver } from "../helpers/otlp-receiver.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { TEST_SECRET } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

const ENV = { TRUNKLINE_TOKEN_SECRET: TEST_SECRET };

let image: Image;
beforeAll(async () => {
  image = await buildImage();
}, 60_000);
afterAll(() => image[Symbol.asyncDispose]());

describe("the files of the production image", () => {
  test("are what serve, doctor, token and config reach, and no folder more", () => {
    const reached = reach(["src/main.ts"], (path) => !DEVELOPMENT.test(path));
    const own = new Set(image.files);
    expect(reached.files.filter((path) => !own.has(path))).toEqual([]);
    const folders = new Set(reached.files.map((path) => dirname(path)));
    const idle = image.files.filter(
      (path) => path.startsWith("src/") && path.endsWith(".ts") && !folders.has(dirname(path)),
    );
    expect(idle).toEqual([]);
    expect(reached.packages.filter((name) => !image.packages.includes(name))).toEqual([]);
    // Without the others, what needs them says so.
    const { dependencies, optionalDependencies } = manifest();
    const needed = reached.packages.filter((name) => !Object.hasOwn(optionalDependencies, name));
    expect(Object.keys(dependencies).sort()).toEqual(needed);
  });

  test("serve: clients of an instance on NATS and Redis get what is published, and load its scripts", async () => {
    await using nats = await natsServer();
    await using redis = await redisServer();
    await using collector = new OtlpReceiver();
    await using instance = await startInstance({
      binary: image.binary,
      env: { NATS_URL: nats.url, REDIS_URL: redis.url, ...collector.env },
      config: { namespaces: { chat: { subscribe: "authenticated" } } },
    });
    using client = testClient(instance.websocket, { user: "ann" });
    await client.connected();
    const room = await client.subscribe("chat:room.1");
    await instance.api("publish", { channel: "chat:room.1", data: "hello" });
    await until(() => room.data().includes("hello"));
    await until(() => collector.spans.some(({ name }) => name === "deliver chat"), { what: "a span" });
    for (const script of ["nearest.js", "pusher-resume.js"]) {
      expect((await fetch(`${instance.url}/${script}`)).status).toBe(200);
    }
    expect(await (await fetch(instance.url)).text()).toStartWith("Trunkline: connect");
    expect((await fetch(`${instance.url}/app.js`)).status).toBe(404);
    client.centrifuge.disconnect();
    expect(await instance.terminate()).toBe(0);
  }, 60_000);

  test("doctor, token and config run", async () => {
    const run = (...args: string[]) => trunkline(args, { binary: image.binary, env: ENV });
    const [doctor, token, config] = await Promise.all([
      run("doctor", "--json"),
      run("token", "--user", "ann"),
      run("config", "--json"),
    ]);
    expect(JSON.parse(doctor.out)).toBeObject();
    expect(token).toMatchObject({ code: 0, err: "" });
    expect(config).toMatchObject({ code: 0, err: "" });
  });

  test.each(["bench idle", "bench --plan", "dev"])(
    "%s says in one sentence where to get it",
    async (line) => {
      const args = line.split(" ");
      const { code, out, err } = await trunkline(args, { binary: image.binary, env: ENV });
      expect({ code, out }).toEqual({ code: 1, out: "" });
      expect(err).toContain(`\`${args[0]}\` is for development and not part of this installation`);
      expect(err.trim().split("\n")).toHaveLength(1);
    },
  );
});

/** What main.ts loads for development alone. */
const DEVELOPMENT = /^src\/cli\/(bench\/|dev\.ts)/;

/** Everything that files load when they run, directly or not: files, and packages by name. */
function reach(entries: readonly string[], wanted: (path: string) => boolean) {
  const root = join(import.meta.dir, "../..");
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  const files = new Set<string>();
  const packages = new Set<string>();
  const open = [...entries];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (files.has(path) || !wanted(path)) continue;
    files.add(path);
    if (!path.endsWith(".ts")) continue;
    // The transpiler leaves types out, as the runtime does.
    for (const { path: name } of transpiler.scanImports(
      readFileSync(join(root, path), "utf8").replace(/^#!.*/, ""),
    )) {
      if (name.startsWith(".")) open.push(join(dirname(path), name));
      else if (!/^(node|bun|npm):/.test(name) && name !== "bun") {
        packages.add(name.split("/", name.startsWith("@") ? 2 : 1).join("/"));
      }
    }
  }
  expect([...files].filter((path) => !existsSync(join(root, path)))).toEqual([]);
  return { files: [...files].sort(), packages: [...packages].sort() };
}

function manifest(): Record<"dependencies" | "optionalDependencies", Record<string, string>> {
  return JSON.parse(readFileSync(join(import.meta.dir, "../../package.json"), "utf8"));
}
