import { expect, test } from "bun:test";
import { trunkline } from "../helpers/command.ts";
import { startInstance, TEST_API_KEY } from "../helpers/instances.ts";
import { natsServer } from "../helpers/servers.ts";
import { TEST_SECRET } from "../helpers/tokens.ts";

const LOGIN = { TRUNKLINE_NATS_USER: "service", TRUNKLINE_NATS_PASSWORD: "p:w@d" };
const ACCOUNT = `authorization { users: [{ user: service, password: "p:w@d" }] }`;

test("every bench that talks to NATS logs in as serve does: from the environment, or from the address", async () => {
  await using nats = await natsServer(ACCOUNT);
  await using instance = await startInstance({
    env: { NATS_URL: nats.url, ...LOGIN },
  });
  const target = instance.websocket.replace(/\/connection.*/, "");
  const env = { TRUNKLINE_TOKEN_SECRET: TEST_SECRET, TRUNKLINE_API_KEYS: TEST_API_KEY };
  const inAddress = nats.url.replace("//", "//service:p%3Aw%40d@");
  const check = ["check", "--target", target, "-n", "4", "--rate", "10", "--seconds", "1", "--channels", "1"];
  const idle = (of: string) => ["idle", "-t", of, "-n", "4", "--inbox", "--seconds", "1", "--rounds", "1"];
  const runs: readonly (readonly [args: readonly string[], env: Record<string, string>])[] = [
    [check, { NATS_URL: nats.url, ...LOGIN }],
    [[...check, "--nats", inAddress], {}],
    // A login in the address is meant, whoever the environment's is for.
    [[...check, "--nats", inAddress], { TRUNKLINE_NATS_USER: "gateway", TRUNKLINE_NATS_PASSWORD: "other" }],
    [idle("trunkline"), { NATS_URL: nats.url, ...LOGIN }],
    [idle(target), { NATS_URL: nats.url, ...LOGIN }],
  ];
  for (const [args, own] of runs) {
    const { code, out, err } = await trunkline(["bench", ...args], { env: { ...env, ...own } });
    expect({ args, code, denied: /authorization/i.test(out + err) }, out + err).toEqual({
      args,
      code: 0,
      denied: false,
    });
  }
}, 60_000);
