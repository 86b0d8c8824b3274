import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Ajv from "ajv/dist/2020";
import { eventShapes } from "../../src/events/shapes.ts";
import { readEvent, type TrunklineEvent, type WebhookRequest } from "../../src/library/events.ts";
import { eventTarget } from "../../src/webhooks/event-target.ts";
import { readItem } from "../../src/webhooks/item.ts";
import { startGateway, type TestGateway } from "./fixture.ts";
import { eventually } from "./time.ts";

/** Events that a gateway made, read by everything that is generated from their shapes. */

const DOCS = join(import.meta.dir, "../../docs");
const ENDPOINT = {
  ...{ name: "all", url: "https://x.example", secret: "whsec_AAAA", batch: true, headers: {} },
  ...{ events: [], channelPrefix: "" },
};

/** As texts: those of stream RT_EVENTS, and the body of a webhook's request with those that webhooks get. */
let texts: string[] = [];
let body = "";
let dir = "";

/** Makes an event of each kind, and audits of several. */
async function tell(gateway: TestGateway): Promise<void> {
  const { operations } = gateway.gateway;
  const ann = await gateway.connect("ann");
  await ann.subscribe("chat:größe");
  ann.say({ send: { data: { big: "12345678901234567890", nested: [null, 1.5, "ü"] } } });
  gateway.world.bus.raw("rt.chat.größe", new TextEncoder().encode("{"), {});
  await operations.logLevel({ level: "warn", instance: "here", seconds: 1 });
  for (const user of ["mallory", "mallory"])
    await operations.restrict("block", { user, reason: "spam" }, { via: "console", by: "ada" });
  ann.socket.close();
  const told = () => new Set(gateway.world.bus.events.map(({ kind }) => kind));
  await eventually(() => told().size === Object.keys(eventShapes).length);
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "events-"));
  await using gateway = await startGateway({
    endpoints: [ENDPOINT],
    namespaces: { chat: { presenceGraceMs: 0 } },
  });
  await tell(gateway);
  texts = gateway.world.bus.events.map(({ text }) => text);
  const items = await gateway.outbox!.read("events.endpoint.all", 100);
  body = eventTarget(ENDPOINT).request(items.map(({ text }, index) => readItem(text, `${index}`)!)).body;
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test("the JSON Schema takes them, and the body of a webhook; what is no event it does not", () => {
  const schema = JSON.parse(readFileSync(join(DOCS, "events.schema.json"), "utf8")) as object;
  const ajv = new Ajv({ allErrors: true }).addSchema(schema, "events");
  const valid = (ref: string, value: unknown) => ajv.validate(ref, value);
  for (const text of texts) expect([text, valid("events", JSON.parse(text))]).toEqual([text, true]);
  const request = JSON.parse(body) as WebhookRequest;
  expect(valid("events#/$defs/WebhookRequest", request)).toBe(true);
  expect(valid("events#/$defs/WebhookRequest", { events: [] })).toBe(false);
  const first = JSON.parse(texts[0]!) as object;
  for (const wrong of [{ type: "connect" }, { ...first, client: 7 }, { ...first, type: "other" }, [], 1])
    expect([wrong, valid("events", wrong)]).toEqual([wrong, false]);
});

test("each has an id of its own in a webhook, and reads as what it is", () => {
  const { events } = JSON.parse(body) as { events: { id: string; type: string }[] };
  expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
  expect(events.length).toBe(texts.length - 1);
  for (const event of events) expect(readEvent(event)).toEqual(event as unknown as TrunklineEvent);
  const audits = texts.map(readEvent).filter((event) => event?.type === "audit");
  expect(audits).toMatchObject([
    { action: "log_level", instance: "here", of: "here", kind: "log" },
    { action: "restricted", kind: "user", user: "mallory", by: "ada" },
    { action: "restricted", kind: "user", user: "mallory", by: "ada" },
  ]);
  expect(readEvent({ type: "new in another version" })).toBeUndefined();
  expect(readEvent({ type: "toString" })).toBeUndefined();
  expect(() => readEvent({ type: "join" })).toThrow("timeMs");
  expect(() => readEvent("[]")).toThrow();
});

/** Runs a program on the events, one a line; what it prints is what it has read, a kind a line. */
async function reads(command: readonly string[]): Promise<{ out: string; err: string }> {
  const child = Bun.spawn([...command], {
    ...{ cwd: dir, stdin: "pipe", stdout: "pipe", stderr: "pipe" },
    env: { ...process.env, GOFLAGS: "-mod=mod", GOPROXY: "off", PYTHONDONTWRITEBYTECODE: "1" },
  });
  child.stdin.write(`${texts.join("\n")}\n`);
  await child.stdin.end();
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { out, err };
}

/** What they must print: kind, name of the instance, and the text of a message's data. */
const expected = () =>
  texts
    .map((text) => JSON.parse(text) as { type: string; instance?: string; data?: { nested: unknown[] } })
    .map(({ type, instance = "", data }) => `${type} ${instance} ${data ? data.nested.length : 0}\n`)
    .join("");

const PYTHON = `
import json, sys
from trunkline_events import MessageEvent, NotAnEvent, read_event

for line in sys.stdin.buffer:
    event = read_event(line)
    size = len(event.data["nested"]) if isinstance(event, MessageEvent) else 0
    print(event.type, event.instance or "", size)
assert read_event({"type": "new"}) is None
for wrong in (b"{", b"[]", {}, {"type": "join"}, {**json.loads(line), "timeMs": "x"}, {**json.loads(line), "timeMs": True}):
    try:
        read_event(wrong)
    except NotAnEvent:
        continue
    raise SystemExit(f"takes {wrong}")
`;

const python = Bun.which("python3");
test.skipIf(!python)(`Python reads them${python ? "" : " (skipped: no python3 here)"}`, async () => {
  copyFileSync(join(DOCS, "events/trunkline_events.py"), join(dir, "trunkline_events.py"));
  writeFileSync(join(dir, "read.py"), PYTHON);
  expect(await reads([python!, "read.py"])).toEqual({ out: expected(), err: "" });
});

const GO = `package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"events/trunklineevents"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		event, err := trunklineevents.Read(lines.Bytes())
		if err != nil {
			panic(err)
		}
		size := 0
		if message, ok := event.(*trunklineevents.MessageEvent); ok {
			var data struct{ Nested []any }
			if json.Unmarshal(message.Data, &data) == nil {
				size = len(data.Nested)
			}
		}
		head := trunklineevents.HeadOf(event)
		fmt.Println(head.Type, head.Instance, size)
	}
	for _, wrong := range []string{"{", "[]", "{}", \`{"type":"join"}\`, \`{"type":"vacated","timeMs":"x","instance":"","region":"","channel":""}\`} {
		if _, err := trunklineevents.Read([]byte(wrong)); err == nil {
			panic("takes " + wrong)
		}
	}
	if event, err := trunklineevents.Read([]byte(\`{"type":"new"}\`)); event != nil || err != nil {
		panic("a new kind")
	}
}
`;

const go = Bun.which("go");
test.skipIf(!go)(
  `Go compiles its file, and reads them${go ? "" : " (skipped: no go here)"}`,
  async () => {
    const at = join(dir, "go");
    await Bun.write(join(at, "go.mod"), "module events\n\ngo 1.20\n");
    await Bun.write(join(at, "main.go"), GO);
    const file = Bun.file(join(DOCS, "events/trunklineevents.go"));
    await Bun.write(join(at, "trunklineevents/trunklineevents.go"), file);
    const vet = Bun.which("gofmt") ? await reads(["gofmt", "-l", join(at, "trunklineevents")]) : { out: "" };
    expect(vet.out).toBe("");
    expect(await reads([go!, "run", "-C", at, "."])).toEqual({ out: expected(), err: "" });
  },
  60_000,
);
