import { cp, readdir, rename, rm, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type StreamAPI } from "../src/nats/client.ts";
import type { WorldInstance } from "../src/world/instance.ts";
import type { Server } from "../src/world/server.ts";

/* What is done to servers and streams, by the faults of all stages. */

export const STREAM = "RT_chat";
/** Time that a change of a stream's replicas has to take effect. */
const REPLICAS_PAUSE_MS = 2_000;

/** How long faults last that end, ms. */
export interface Holds {
  readonly nats: number;
  readonly link: number;
  readonly redis: number;
  readonly region: number;
  readonly pause: number;
  /** Time in which a store takes messages that it then forgets. */
  readonly forgotten: number;
}

/** A NATS server with a disk. */
export interface Disk extends Server {
  readonly storeDir: string;
}

/** Killed, and started again. */
export async function again(server: Server): Promise<void> {
  await server.kill();
  await server.restart();
}

/** Does something to the stream. */
export async function withStream(servers: string, act: "delete" | "purge"): Promise<void> {
  await withStreams(servers, (streams) => streams[act](STREAM));
}

/** What the log advises where replicas disagree: all but the leader's are removed, and made anew from it. */
export async function makeReplicasAnew(servers: string): Promise<void> {
  await withStreams(servers, async (streams) => {
    const { config } = await streams.info(STREAM);
    for (const num_replicas of [1, config.num_replicas]) {
      await streams.update(STREAM, { num_replicas });
      await sleep(REPLICAS_PAUSE_MS);
    }
  });
}

async function withStreams(servers: string, act: (streams: StreamAPI) => Promise<unknown>): Promise<void> {
  const nc = await connect({ servers });
  try {
    await until(async () => await act((await nc.jetstreamManager({ timeout: 2_000 })).streams));
  } finally {
    await nc.close();
  }
}

/** Tries again while a server that was just started has no leader yet. */
export async function until(act: () => Promise<unknown>): Promise<void> {
  for (let left = 40; ; left--) {
    try {
      await act();
      return;
    } catch (error) {
      if (left === 0) throw error;
      await sleep(250);
    }
  }
}

/** As a deployment does it: SIGTERM, wait for its own end, start the new one. */
export async function restart(instance: WorldInstance): Promise<void> {
  process.kill(instance.pid!, "SIGTERM");
  const end = performance.now() + 40_000;
  while (instance.alive && performance.now() < end) await sleep(20);
  if (instance.alive) throw new Error(`${instance.id} does not end`);
  await instance.restart();
}

/**
 * What a restored backup does: what was stored for some time is gone with the server that stored it, and the store is
 * written on. @param meanwhile done while messages are stored that will be forgotten
 */
export async function goBack(disk: Disk, forMs: number, meanwhile: () => Promise<unknown>): Promise<void> {
  const copy = await keep(disk, "stream");
  await meanwhile();
  await sleep(forMs);
  await disk.kill();
  await replace(copy);
  await disk.restart();
}

/** A copy of a folder of a server's disk. */
export interface DiskCopy {
  readonly of: string;
  readonly at: string;
}

/**
 * Copies what is on the disk of a server, which is killed for it and started again. @param what the stream alone, or with
 * replicas all of it: their log is beside the stream, and has the same messages
 */
export async function keep(disk: Disk, what: "stream" | "all"): Promise<DiskCopy> {
  const of = what === "all" ? disk.storeDir : folderOf(disk);
  const at = join(disk.storeDir, "..", `kept-${crypto.randomUUID()}`);
  await disk.kill();
  await cp(of, at, { recursive: true });
  await disk.restart();
  return { of, at };
}

/** Puts a copy back, in a server that does not run. */
export async function replace({ of, at }: DiskCopy): Promise<void> {
  await rm(of, { recursive: true });
  await rename(at, of);
}

/**
 * What a power cut does: the server ends at once, and what was written to the newest file of messages for some time, and
 * not synced, is not there.
 */
export async function dropTail(disk: Disk, forMs: number, meanwhile: () => Promise<unknown>): Promise<void> {
  const folder = join(folderOf(disk), "msgs");
  const sizes = new Map<string, number>();
  const blocks = async () => (await readdir(folder)).filter((name) => name.endsWith(".blk"));
  for (const name of await blocks()) sizes.set(name, (await stat(join(folder, name))).size);
  await meanwhile();
  await sleep(forMs);
  await disk.kill();
  for (const name of await blocks()) {
    const size = sizes.get(name);
    if (size === undefined) await rm(join(folder, name));
    else if ((await stat(join(folder, name))).size > size) await truncate(join(folder, name), size);
  }
  await disk.restart();
}

function folderOf({ storeDir }: Disk): string {
  return join(storeDir, "jetstream", "$G", "streams", STREAM);
}
