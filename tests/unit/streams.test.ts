import { expect, test } from "bun:test";
import type { Requests } from "../../src/broker/nats/link/requests.ts";
import { StreamAdmin } from "../../src/broker/nats/streams/admin.ts";
import { channelStream } from "../../src/broker/nats/streams/config.ts";
import { epochOf } from "../../src/broker/nats/streams/identity.ts";
import { silent } from "../../src/core/log.ts";
import { subjects } from "../../src/core/subject.ts";

const BORN = "2026-11-21T16:15:37.340238897Z";
const UNBORN = "0001-01-01T00:00:00Z";
const history = { size: 100, ageMs: 60_000, recoverLimit: 100, replicas: 1, totalBytes: 1024 };
const wanted = channelStream(subjects(), { name: "chat", history }, false);

/** A server that answers as told, one answer after the other, the last one again and again. */
function streamsOver(...answers: object[]) {
  const asked: string[] = [];
  const ask = async (subject: string) => {
    asked.push(subject.split(".")[3]!);
    const answer = answers[Math.min(asked.length, answers.length) - 1];
    return { data: new TextEncoder().encode(JSON.stringify(answer)) };
  };
  return { streams: new StreamAdmin({ ask } as unknown as Requests, silent), asked };
}

const info = (created: string) => ({ config: wanted, created, state: { first_seq: 1, last_seq: 7 } });
const absent = { error: { code: 404, err_code: 10_059, description: "stream not found" } };

// As nats-server 2.9.10 answers now and then when several instances make a stream at the same time.
test("a stream without a birthday yet, made by another instance right now, is looked at again", async () => {
  const found = streamsOver(info(UNBORN), info(UNBORN), info(BORN));
  expect((await found.streams.life(wanted.name))?.id).toBe(epochOf(BORN));
  expect(found.asked).toEqual(["INFO", "INFO", "INFO"]);

  const made = streamsOver(absent, info(UNBORN), info(BORN));
  expect((await made.streams.ensure(wanted)).id).toBe(epochOf(BORN));
  expect(made.asked).toEqual(["INFO", "CREATE", "INFO"]);
});
