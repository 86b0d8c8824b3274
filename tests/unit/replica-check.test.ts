import { expect, test } from "bun:test";
import { createServer } from "node:net";
import { openEnvelope } from "../../src/broker/nats/link/headers.ts";
import { disagreement } from "../../src/broker/nats/streams/replica-check.ts";
import { clusterFault, clusterServers, replicaFloor } from "../../src/broker/nats/streams/replica-floor.ts";

/** What tells whether replicas are worth what they promise. */

/** A message with an id, as a read brings it. */
function envelope(seq: number, id: string) {
  const empty = openEnvelope({ headers: undefined, data: new Uint8Array(), subject: "x" } as never);
  return Object.assign(empty, { seq, id });
}

/** Servers that take turns, each with the messages of its own: bodies by sequence. */
function replicas(...each: Record<number, string>[]) {
  let turn = 0;
  return {
    at(seq: number) {
      const id = each[turn++ % each.length]![seq];
      return Promise.resolve(id === undefined ? null : envelope(seq, id));
    },
  };
}

const life = { before: [{ id: "old", fork: 3, mark: 6 }], firstSeq: 1, lastSeq: 9 };
const past = { 1: "a", 2: "b", 3: "c" };
const later = { 7: "g", 8: "h", 9: "i" };

test("replicas that agree, that lag, and that keep another past after a cut", async () => {
  const whole = { ...past, 4: "d", 5: "e", 6: "f", ...later };
  expect(await disagreement(replicas(whole, whole, whole), life)).toBeUndefined();
  expect(await disagreement(replicas(whole, past, whole), life)).toBeUndefined();
  const forked = { ...past, 4: "D", 5: "E", 6: "F", ...later };
  expect(await disagreement(replicas(whole, whole, forked), life)).toEqual({ sequence: 4 });
  // Nobody noticed a cut: the newest messages are looked at all the same.
  const other = { ...whole, 9: "I" };
  expect(await disagreement(replicas(whole, other), { ...life, before: [] })).toEqual({ sequence: 9 });
});

/** A NATS server as far as its first line. */
async function greeter(line: string) {
  const server = createServer((socket) => void socket.end(line));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return { address: `127.0.0.1:${port}`, [Symbol.dispose]: () => void server.close() };
}

const info = (name: string, version: string) =>
  `INFO ${JSON.stringify({ server_id: "X", server_name: name, version })} \r\n`;

test("every server of the cluster is asked for its version, not the one alone that is connected to", async () => {
  using old = await greeter(info("n1", "2.9.25"));
  using fit = await greeter(info("n2", "2.12.12"));
  using mute = await greeter("HTTP/1.1 400\r\n");
  const link = (...others: string[]) =>
    ({ nc: { info: { server_name: "n0", version: "2.10.29", connect_urls: others } } }) as never;
  const mixed = await clusterServers(link(old.address, fit.address), []);
  expect([...mixed.known].sort()).toEqual([
    ["n0", "2.10.29"],
    ["n1", "2.9.25"],
    ["n2", "2.12.12"],
  ]);
  expect(replicaFloor(mixed)?.message).toMatch(/n1 2\.9\.25\. Upgrade.*2\.10\.29.*nats\.allowOldReplicas/);
  expect(replicaFloor(await clusterServers(link(fit.address), []))).toBeUndefined();
  // Also those that are only in the settings; one that does not say its version is named.
  const configured = [`nats://user:secret@${fit.address}`, `nats://${old.address}`, mute.address];
  const told = await clusterServers(link(), configured);
  expect(told.silent).toEqual([mute.address]);
  expect(replicaFloor(told)?.problem).toContain("n1 2.9.25");
});

test.each([
  ["2.12.14", "c", true],
  ["2.14.4", "c", true],
  ["2.12.14", undefined, false],
  ["2.12.15", "c", false],
  ["2.14.5", "c", false],
  ["2.12.1", "c", false],
])("%s in cluster %s", (version, cluster, known) => {
  expect(clusterFault({ nc: { info: { version, cluster } } } as never) !== undefined).toBe(known);
});
