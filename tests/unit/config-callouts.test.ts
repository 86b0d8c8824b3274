import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { type Config, configSchema, loadConfig } from "../../src/config.ts";

const URL = "https://app.example/{event}";

type Loaded = {
  readonly config?: Config;
  readonly effective?: unknown;
  readonly problems?: readonly string[];
};

/** Settings without a mistake, or their mistakes. */
function load(file: object, env: Record<string, string> = {}): Loaded {
  return loadConfig({ env, file: JSON.stringify(file) });
}

const problemsOf = (file: object) => load(file).problems ?? [];
const ofEndpoint = (members: object) => problemsOf({ callouts: { endpoints: { backend: members } } });

test("an endpoint needs its address, and has a default for everything else", () => {
  const { config } = load({ callouts: { endpoints: { backend: { url: URL, headers: ["Cookie"] } } } });
  expect(config?.callouts.endpoints).toEqual({
    backend: {
      ...{ url: URL, timeoutMs: 1_000, headers: ["cookie"], emulatedHeaders: [], addHeaders: {} },
      ...{
        meta: false,
        base64: false,
        statuses: [],
        inFlight: 250,
        answerBytes: 262_144,
        unencrypted: false,
      },
    },
  });
});

test("everything that can be asked can name one, also in the environment", () => {
  const names = { subscribeCallout: "backend", publishCallout: "backend", subRefreshCallout: true };
  const { config, problems } = load(
    { namespaces: { chat: names }, rpc: { callouts: { default: "backend", "*": true } } },
    {
      TRUNKLINE_CALLOUTS_ENDPOINTS: JSON.stringify({ backend: { url: URL } }),
      TRUNKLINE_CONNECT_CALLOUT: "backend",
      TRUNKLINE_AUTH_REFRESH_CALLOUT: "true",
    },
  );
  expect(problems).toBeUndefined();
  expect(config?.auth).toMatchObject({ connectCallout: "backend", refreshCallout: true });
  expect(config?.namespaces.get("chat")).toMatchObject(names);
  expect(config?.rpc.callouts).toEqual({ default: "backend", "*": true });
});

test("a name that no endpoint has is told, with what may be meant", () => {
  const problems = problemsOf({
    auth: { connectCallout: "backnd" },
    callouts: { endpoints: { backend: { url: URL } } },
    namespaces: { chat: { publishCallout: "other" } },
    rpc: { callouts: { sum: "third" } },
  });
  expect(problems).toEqual([
    "auth.connectCallout: there is no endpoint backnd (did you mean backend?); add it to callouts.endpoints",
    "rpc.callouts.sum: there is no endpoint third; add it to callouts.endpoints",
    "namespaces.chat.publishCallout: there is no endpoint other; add it to callouts.endpoints",
  ]);
});

describe("an endpoint is refused", () => {
  test.each<[string, object, string]>([
    ["without an address", {}, "url"],
    ["with another scheme", { url: "grpc://app.example" }, "url"],
    ["with a login in its address", { url: "https://user:secret@app.example/" }, "url"],
    ["that does not answer in any time", { url: URL, timeout: "10m" }, "timeout"],
    ["with a header of the connection", { url: URL, headers: ["Host"] }, "headers"],
    ["with no header", { url: URL, emulatedHeaders: ["a b"] }, "emulatedHeaders"],
    ["with a value no header can have", { url: URL, addHeaders: { "X-Key": "secret\n" } }, "addHeaders"],
    [
      "with a header that a client could replace",
      { url: URL, headers: ["X-Key"], addHeaders: { "x-key": "secret" } },
      "addHeaders",
    ],
    ["with a status that means nothing", { url: URL, statuses: [{ status: 403 }] }, "statuses"],
    [
      "with a status that means two things",
      { url: URL, statuses: [{ status: 403, error: { code: 400 }, disconnect: { code: 4000 } }] },
      "statuses",
    ],
    [
      "with a success that is an error",
      { url: URL, statuses: [{ status: 200, error: { code: 400 } }] },
      "status",
    ],
    ["with an unknown member", { url: URL, retries: 3 }, "retries"],
    ["over a wire that others read", { url: "http://app.example/" }, "unencrypted"],
  ])("%s", (_, members, named) => {
    const problems = ofEndpoint(members);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(named);
    expect(problems[0]).not.toContain("secret");
  });

  test("but over http:// where the settings say so, and on this machine", () => {
    expect(ofEndpoint({ url: "http://app.example/", unencrypted: true })).toEqual([]);
    expect(ofEndpoint({ url: "http://127.0.0.1:3000/{event}?x=1" })).toEqual([]);
  });

  test("with a name that says yes or no", () => {
    expect(problemsOf({ callouts: { endpoints: { true: { url: URL } } } })).toHaveLength(1);
  });
});

test("what is added to requests, and paths, are printed nowhere", () => {
  const { effective } = load({
    callouts: {
      endpoints: {
        backend: { url: "https://app.example/secret-path?key=secret", addHeaders: { "X-Key": "secret" } },
      },
    },
  });
  const shown = JSON.stringify(effective);
  expect(shown).toContain("https://app.example/***");
  expect(shown).toContain('"X-Key":"***"');
  expect(shown).not.toContain("secret");
});

test("docs/callouts.md lists every member of an endpoint", () => {
  const schema = configSchema() as {
    properties: { callouts: { properties: { endpoints: { additionalProperties: { properties: object } } } } };
  };
  const members = Object.keys(
    schema.properties.callouts.properties.endpoints.additionalProperties.properties,
  );
  const page = readFileSync(`${import.meta.dir}/../../docs/callouts.md`, "utf8");
  const listed = [...page.matchAll(/^- `(\w+)`: /gm)].map(([, name]) => name!);
  expect(listed.sort()).toEqual(members.sort());
});
