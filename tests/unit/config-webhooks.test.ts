import { expect, test } from "bun:test";
import type { EventRecorder } from "../../src/broker/broker.ts";
import { showEndpoint } from "../../src/config/webhooks.ts";
import { loadConfig } from "../../src/config.ts";
import { JsonText } from "../../src/core/json-value.ts";
import { EVENT_KINDS } from "../../src/events/shapes.ts";
import { WebhookEventRecorder } from "../../src/webhooks/event-recorder.ts";
import type { EventEndpoint } from "../../src/webhooks/event-target.ts";
import { readItem } from "../../src/webhooks/item.ts";

const SECRET = `whsec_${Buffer.alloc(32, 1).toString("base64")}`;
const PLAIN = { name: "billing", url: "https://billing.example/hook?key=hidden", secret: SECRET };

type Loaded = {
  readonly config?: { webhooks: { endpoints: readonly EventEndpoint[] } };
  readonly problems?: string[];
};
const load = (endpoints: unknown, env: Record<string, string> = {}) =>
  loadConfig({
    env,
    file: JSON.stringify(endpoints === undefined ? {} : { webhooks: { endpoints } }),
  }) as Loaded;
const problemsOf = (...endpoints: object[]) => (load(endpoints).problems ?? []).join("\n");

test("an endpoint needs a name, an address and a secret, and gets everything in requests of its own", () => {
  const wanted = { ...PLAIN, events: [], channelPrefix: "", batch: false, headers: {} };
  expect(load([PLAIN]).config?.webhooks.endpoints).toEqual([wanted]);
  const env = { TRUNKLINE_WEBHOOKS_ENDPOINTS: JSON.stringify([PLAIN]) };
  expect(load(undefined, env).config?.webhooks.endpoints).toEqual([wanted]);
});

test.each([
  ["no secret", { ...PLAIN, secret: undefined }, "secret"],
  ["a short one", { ...PLAIN, secret: `whsec_${btoa("short")}` }, "24 to 64 bytes"],
  ["one without its prefix", { ...PLAIN, secret: SECRET.slice(6) }, "whsec_"],
  ["an address that can be read on the way", { ...PLAIN, url: "http://billing.example/" }, "https://"],
  ["a login in the address", { ...PLAIN, url: "https://a:b@billing.example/" }, "URL"],
  ["an unknown event", { ...PLAIN, events: ["joined"] }, "one of connect, disconnect"],
  ["a header of ours", { ...PLAIN, headers: { "Webhook-Signature": "x" } }, "none of which"],
  ["a header that frames", { ...PLAIN, headers: { "Content-Length": "1" } }, "none of which"],
  ["a header with a line break", { ...PLAIN, headers: { "X-Own": "a\r\nb" } }, "printable"],
  ["a member that nobody knows", { ...PLAIN, retries: 3 }, "retries"],
])("an endpoint with %s is refused, without its secrets", (_, endpoint, words) => {
  const problems = problemsOf(endpoint);
  expect(problems).toContain(words);
  expect(problems).not.toContain(SECRET.slice(6));
});

test("two endpoints have two names; one on this machine may do without https", () => {
  expect(problemsOf(PLAIN, { ...PLAIN, url: "https://other.example/" })).toContain(
    "two have the name billing",
  );
  expect(problemsOf({ ...PLAIN, url: "http://127.0.0.1:3000/hook" })).toBe("");
});

test("an endpoint is printed without what may be secret in it", () => {
  const [endpoint] = load([{ ...PLAIN, headers: { Authorization: "Bearer hidden" } }]).config!.webhooks
    .endpoints;
  const shown = JSON.stringify(showEndpoint(endpoint as never));
  expect(shown).not.toMatch(/hidden|AQEB/);
  expect(shown).toContain("billing.example");
});

test("an endpoint hears of the kinds and channels it asks for; what has no channel passes the prefix", () => {
  const put: [line: string, event: string, id: string | undefined][] = [];
  const emitted: string[] = [];
  const broker: EventRecorder = {
    emit: (kind, _event, id) => void emitted.push(`${kind} ${id !== undefined}`),
  };
  const outbox = {
    put: (line: string, text: string, id?: string) => void put.push([line, readItem(text, "")!.event, id]),
  };
  const [all, chats, joins] = [
    { name: "all" },
    { name: "chats", channelPrefix: "chat:" },
    { name: "joins", events: ["join"], channelPrefix: "chat:a" },
  ].map((own) => ({ ...load([PLAIN]).config!.webhooks.endpoints[0]!, ...own }));
  const recorder = new WebhookEventRecorder(broker, outbox, [all!, chats!, joins!]);
  const told = (kind: string, event: object) => {
    put.length = 0;
    recorder.emit(kind, { type: kind, timeMs: 5, ...event });
    return put.map(([line]) => line.split(".").at(-1));
  };
  for (const kind of EVENT_KINDS)
    expect(told(kind, {})).toEqual(kind === "join" ? ["all", "chats", "joins"] : ["all", "chats"]);
  expect(told("join", { channel: "chat:a1" })).toEqual(["all", "chats", "joins"]);
  expect(told("join", { channel: "chat:b" })).toEqual(["all", "chats"]);
  expect(told("leave", { channel: "news" })).toEqual(["all"]);
  told("message", { data: new JsonText("[12345678901234567890, 1.0]") });
  const [[, event, id]] = put as [[string, string, string]];
  expect(event).toBe(`{"id":"${id}","type":"message","timeMs":5,"data":[12345678901234567890, 1.0]}`);
  expect(new Set(put.map(([, , one]) => one)).size).toBe(1);
  expect(emitted.every((line) => line.endsWith("true"))).toBe(true);
});
