import { expect, test } from "bun:test";
import type { StreamInfo } from "nats";
import { lifeOf, nameOf, newLifeId } from "../../src/broker/nats/streams/identity.ts";

const info = (config: object, created = "2026-11-21T16:15:37.340238897Z") =>
  ({ config, created, state: { first_seq: 1, last_seq: 7 } }) as unknown as StreamInfo;

test("a life is written into metadata and description, and read from either", () => {
  const life = { id: "abc123", before: [{ id: "old", fork: 30, mark: 70 }] };
  const name = nameOf({ description: "mine", metadata: { team: "x" } }, life);
  expect(name.description).toBe("mine; trunkline, life abc123, before old@30-70");
  expect(name.metadata).toEqual({ team: "x", "trunkline-life": "abc123", "trunkline-before": "old@30-70" });
  for (const config of [name, { description: name.description }, { metadata: name.metadata }]) {
    expect(lifeOf(info(config))).toMatchObject({ ...life, named: true, epoch: "t_abc123" });
  }
  expect(lifeOf(info({ description: "copy of RT_chat, life k2" }))).toMatchObject({ id: "k2", named: true });
  const next = nameOf(name, { id: "new", before: [] });
  expect(next).toEqual({
    description: "mine; trunkline, life new",
    metadata: { team: "x", "trunkline-life": "new" },
  });
});

test("a stream of an earlier version is named by its time, which every instance reads alike", () => {
  const life = lifeOf(info({}));
  expect(life).toMatchObject({ named: false, before: [] });
  expect(lifeOf(info(nameOf({}, life), "2027-01-01T00:00:00Z")).id).toBe(life.id);
  expect(newLifeId()).toMatch(/^[0-9a-z]{12}$/);
});
