import { afterAll, beforeAll, describe, test } from "bun:test";
import type Pusher from "pusher";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { PUSHER_CONFIG, pusherServer, SHOP } from "../helpers/pusher-clients.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import type { Feature } from "./centrifuge-world.ts";
import { type Kind, LANGUAGE_SDKS, type LanguageSdk } from "./languages.ts";
import { Program } from "./program.ts";
import { preparedSdks } from "./toolchains.ts";

/** Of end-to-end encrypted channels; the one of {@link pusherServer}. */
const MASTER_KEY = Buffer.alloc(32, 7).toString("base64");

/** Stock Python SDKs take numbers alone. */
export const APP = { ...SHOP, id: "4711" } as const;

/** Of an app that is switched off. */
export const OFF_KEY = "closed-key";

/** One request of a webhook, as it came. */
interface Hook {
  readonly key: string;
  readonly signature: string;
  readonly body: string;
}

/** Two instances on one NATS and one Redis, and the app's own server. */
interface PusherWorld extends AsyncDisposable {
  readonly a: TestInstance;
  readonly b: TestInstance;
  readonly hooks: readonly Hook[];
  /** Signs, in the ways of the stock SDK for Node, for whoever asks: `/auth?user=` and `/user?user=`. */
  readonly authUrl: string;
  /** The app's calls, by the stock SDK for Node. */
  readonly server: Pusher;
  another(): Promise<TestInstance>;
}

/** The app's server: signs for clients, and takes webhooks. */
function appServer(signer: () => Pusher, hooks: Hook[]): ReturnType<typeof Bun.serve> {
  return Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const { pathname, searchParams } = new URL(request.url);
      const body = await request.text();
      if (pathname === "/hook") {
        const header = (name: string) => request.headers.get(name) ?? "";
        hooks.push({ key: header("X-Pusher-Key"), signature: header("X-Pusher-Signature"), body });
        return new Response("ok");
      }
      const form = new URLSearchParams(body);
      const [socket, channel] = [form.get("socket_id") ?? "", form.get("channel_name") ?? ""];
      const user = searchParams.get("user") ?? "";
      if (searchParams.has("wrong")) return Response.json({ auth: `${APP.key}:${"0".repeat(64)}` });
      if (pathname === "/user") {
        const watchlist = searchParams.getAll("watch");
        return Response.json(signer().authenticateUser(socket, { id: user, watchlist }));
      }
      const member = channel.startsWith("presence-")
        ? { user_id: user, user_info: { name: user } }
        : undefined;
      return Response.json(signer().authorizeChannel(socket, channel, member));
    },
  });
}

/** Starts it all. */
async function startPusherWorld(): Promise<PusherWorld> {
  const stack = new AsyncDisposableStack();
  const hooks: Hook[] = [];
  let server: Pusher;
  const app = appServer(() => server, hooks);
  stack.defer(() => app.stop(true));
  const nats = stack.use(await natsServer());
  const redis = stack.use(await redisServer());
  const [shop, ...others] = PUSHER_CONFIG.apps;
  const config = {
    ...PUSHER_CONFIG,
    apps: [
      {
        ...shop,
        id: APP.id,
        keys: [{ key: APP.key, secret: APP.secret }],
        webhooks: [{ url: `http://127.0.0.1:${app.port}/hook` }],
      },
      ...others,
    ],
  };
  const options = { config, env: { NATS_URL: nats.url, REDIS_URL: redis.url } };
  const a = stack.use(await startInstance(options));
  const b = stack.use(await startInstance(options));
  server = pusherServer(b.url, APP);
  return {
    a,
    b,
    hooks,
    authUrl: `http://127.0.0.1:${app.port}`,
    server,
    another: () => startInstance(options),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** What scenarios of Pusher's SDKs are written with. */
export interface PusherStage {
  readonly sdk: LanguageSdk;
  readonly program: () => Program;
  readonly world: () => PusherWorld;
}

/** Registers scenarios for each SDK of a kind that is ready here. */
export async function forEachPusherSdk(
  kind: Kind,
  scenarios: (stage: PusherStage, feature: Feature) => void,
): Promise<void> {
  const prepared = await preparedSdks();
  for (const sdk of LANGUAGE_SDKS.filter((one) => one.kind === kind)) {
    const ready = prepared[sdk.name]!;
    describe.skipIf("missing" in ready)(sdk.name, () => {
      let world: PusherWorld;
      let program: Program;
      beforeAll(async () => {
        if ("missing" in ready) return;
        world = await startPusherWorld();
        program = new Program(ready);
        if (kind !== "pusher-server") return;
        const { hostname: host, port } = new URL(world.a.url);
        const { id, key, secret } = APP;
        await program.do("new", { app: id, key, secret, host, port: Number(port), masterKey: MASTER_KEY });
      }, 60_000);
      afterAll(async () => {
        await program?.[Symbol.asyncDispose]();
        await world?.[Symbol.asyncDispose]();
      });
      scenarios({ sdk, program: () => program, world: () => world }, (name, run) =>
        test.skipIf(sdk.lacks?.includes(name) ?? false)(name, run, 60_000),
      );
    });
  }
}
