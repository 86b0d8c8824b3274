import { expect, test } from "bun:test";
import type { Requests } from "../../src/broker/nats/link/requests.ts";
import { StreamAdmin } from "../../src/broker/nats/streams/admin.ts";
import { channelStream } from "../../src/broker/nats/streams/config.ts";
import { Mirrors } from "../../src/broker/nats/streams/mirrors.ts";
import { silent } from "../../src/core/log.ts";
import { subjects } from "../../src/core/subject.ts";

const COPY = "RT_chat_fra";
const history = { size: 100, ageMs: 60_000, recoverLimit: 100, replicas: 1, totalBytes: 1024 };
const originOf = (messageTtl: boolean) =>
  channelStream(subjects(), { name: "chat", history, home: "iad" }, messageTtl);

/** A server that keeps the configuration of one copy, as it was asked to. */
function serverWith(kept?: Record<string, unknown>) {
  let config = kept;
  const changes: string[] = [];
  const ask = async (subject: string, payload: string) => {
    const verb = subject.split(".")[3]!;
    if (verb !== "INFO") {
      changes.push(verb);
      config = JSON.parse(payload);
    }
    const answer = config
      ? { config, created: "2026-11-21T16:15:37.340238897Z", state: { first_seq: 1, last_seq: 7 } }
      : { error: { code: 404, err_code: 10_059, description: "stream not found" } };
    return { data: new TextEncoder().encode(JSON.stringify(answer)) };
  };
  const streams = new StreamAdmin({ ask } as unknown as Requests, silent);
  return { mirrors: new Mirrors(streams, "fra", silent), changes, config: () => config };
}

// A copy without it keeps a message for as long as the namespace's history, whatever age the message has of its own.
test("a copy knows ages of single messages where its origin does", async () => {
  const made = serverWith();
  await made.mirrors.ensure(COPY, originOf(true), "life0");
  expect(made.config()).toMatchObject({ mirror: { name: "RT_chat" }, allow_msg_ttl: true });

  const older = serverWith();
  await older.mirrors.ensure(COPY, originOf(false), "life0");
  expect(older.config()).not.toHaveProperty("allow_msg_ttl");
});

test("a copy that an earlier version made is taught them once, and keeps them", async () => {
  const plain = serverWith();
  await plain.mirrors.ensure(COPY, originOf(false), "life0");
  const server = serverWith(plain.config());
  await server.mirrors.ensure(COPY, originOf(true), "life0");
  await server.mirrors.ensure(COPY, originOf(true), "life0");
  expect(server.config()).toMatchObject({ allow_msg_ttl: true });
  expect(server.changes).toEqual(["UPDATE"]);

  // Servers refuse to take them away (10052): an instance whose server is older must not ask for it.
  await server.mirrors.ensure(COPY, originOf(false), "life0");
  expect(server.config()).toMatchObject({ allow_msg_ttl: true });
  expect(server.changes).toEqual(["UPDATE"]);
});
