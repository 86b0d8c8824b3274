import { expect, test } from "bun:test";
import { checkCallouts } from "../../src/cli/doctor/callouts.ts";
import { type Config, loadConfig } from "../../src/config.ts";
import { HttpBackend } from "../helpers/http-backend.ts";

const SECRET = { addHeaders: { "X-Key": "secret" } };

function config(url: string, more: object = {}): Config {
  const backend = { url: `${url}/secret/{event}`, timeout: "200ms", ...SECRET };
  const file = {
    auth: { connectCallout: "backend" },
    namespaces: { chat: { publishCallout: "backend" } },
    callouts: { endpoints: { backend } },
    ...more,
  };
  const result = loadConfig({ env: {}, file: JSON.stringify(file) });
  if (result.problems) throw new Error(result.problems.join());
  return result.config;
}

test("an endpoint that answers is good, also when it lets nobody in; only who somebody is is asked", async () => {
  const answers = [
    '{"disconnect":{"code":4501,"reason":"who?"}}',
    '{"error":{"code":401,"message":"who?"}}',
    '{"result":{"user":""}}',
  ];
  for (const answer of answers) {
    await using backend = new HttpBackend(({ method }) =>
      method === "POST" ? answer : new Response("no such method", { status: 405 }),
    );
    const findings = await checkCallouts(config(backend.url));
    expect(findings.map(({ check, verdict }) => [check, verdict])).toEqual([
      ["callout backend connect", "ok"],
      ["callout backend publish", "ok"],
    ]);
    expect(backend.asked.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([
      ...["OPTIONS /secret/publish", "POST /secret/connect"],
    ]);
    expect(backend.asked[0]!.headers["x-key"]).toBe("secret");
  }
});

test.each<[string, () => string | Response | Promise<Response>, string]>([
  ["no such page", () => new Response("", { status: 404 }), "status 404"],
  ["a page for everything", () => "<html>", "no result, error or disconnect"],
  ["silence", () => new Promise<Response>(() => {}), "in time"],
])(
  "an endpoint that cannot be asked is told, with why, and without secrets: %s",
  async (_, answer, cause) => {
    await using backend = new HttpBackend(answer);
    const [connect] = await checkCallouts(config(backend.url));
    expect(connect).toMatchObject({ verdict: "failed", cause: expect.stringContaining(cause) });
    expect(connect!.fix).toContain("curl");
    expect(JSON.stringify(connect)).not.toContain("secret");
  },
);

test("nobody at the address, and an endpoint that nothing asks", async () => {
  const findings = await checkCallouts(config("http://127.0.0.1:1"));
  expect(findings.map(({ verdict }) => verdict)).toEqual(["failed", "failed"]);
  const url = "http://127.0.0.1:1";
  const idle = await checkCallouts(config(url, { auth: {}, namespaces: {} }));
  expect(idle).toMatchObject([{ check: "callout backend", verdict: "warning", what: "nothing asks it" }]);
  expect(await checkCallouts(config(url, { auth: {}, namespaces: {}, callouts: {} }))).toEqual([]);
});
