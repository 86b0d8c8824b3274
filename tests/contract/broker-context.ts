import { expect } from "bun:test";
import type { Attachment, Broker, ChannelEvent, ChannelSink } from "../../src/broker/broker.ts";
import { type ChannelName, channelId, parseChannel } from "../../src/core/channel.ts";
import { CommandError, type ErrorCode } from "../../src/core/errors.ts";
import type { NamespaceRules } from "../../src/core/namespace.ts";
import type { Position } from "../../src/core/position.ts";
import type { Publication } from "../../src/core/publication.ts";
import type { Stats } from "../../src/core/stats.ts";
import { until } from "../helpers/until.ts";

/** One instance's broker, started, with the counters it was given. The fixture closes it. */
export interface Instance {
  readonly broker: Broker;
  readonly stats: Stats;
}

/** Several brokers on one shared backend, and the ways in beside them. Disposing closes and frees everything. */
export interface BrokerFixture extends AsyncDisposable {
  /** Starts one more instance. `id` is made up when absent. */
  instance(id?: string): Promise<Instance>;
  /**
   * Publishes as a service that knows nothing of Trunkline: a subject under root `rt`, bytes, headers. Resolves when
   * the backend has it.
   */
  raw(subject: string, body: Uint8Array | string, headers?: Readonly<Record<string, string>>): Promise<void>;
  /** What was recorded as `rtevt.<kind>` so far, oldest first. */
  events(kind: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** Loses the namespace's stream with everything in it, and makes it anew as a starting instance would. */
  reset(namespace: string): Promise<void>;
}

/** What the tests of the suite share: one backend and two instances on it. */
export interface Context {
  readonly fixture: BrokerFixture;
  readonly a: Instance;
  readonly b: Instance;
  /** What both were given. */
  readonly namespaces: Map<string, NamespaceRules>;
  /** Of each namespace with history. */
  readonly partitions: number;
}

/** Time one test may take, ms: the backend may be on a busy machine. */
export const TEST_MS = 30_000;

let made = 0;

/** A channel nobody used before. */
export function freshChannel(namespace = "keep"): ChannelName {
  return parseChannel(channelId(namespace, `c${++made}.${Math.random().toString(36).slice(2)}`));
}

/** Keeps everything it is given. */
export class Recorder implements ChannelSink {
  readonly publications: Publication[] = [];
  readonly events: ChannelEvent[] = [];
  readonly losses: { readonly position: Position; readonly why: string }[] = [];

  publication(publication: Publication): void {
    this.publications.push(publication);
  }

  event(event: ChannelEvent): void {
    this.events.push(event);
  }

  lost(position: Position, why: "epoch" | "truncated"): void {
    this.losses.push({ position, why });
  }

  get data(): unknown[] {
    return this.publications.map((publication) => publication.data);
  }

  get offsets(): number[] {
    return this.publications.map((publication) => publication.offset);
  }
}

/** One life of an attachment, with what is needed to check it for holes. */
export interface Followed {
  readonly sink: Recorder;
  readonly attachment: Attachment;
  /** Everything above this offset is the sink's. */
  readonly start: number;
}

/** Attaches a recorder. */
export async function follow({ broker }: Instance, channel: ChannelName): Promise<Followed> {
  const sink = new Recorder();
  const attachment = await broker.attach(channel, sink);
  // Something may have been delivered before this line: the position has moved on by then.
  const first = sink.offsets[0];
  return { sink, attachment, start: first === undefined ? attachment.position.offset : first - 1 };
}

/** Waits until a recorder has `count` publications, and not one more. */
export async function has(sink: Recorder, count: number): Promise<void> {
  await until(() => sink.publications.length >= count, {
    what: `${count} publications`,
    timeoutMs: TEST_MS / 2,
  }).catch((error) => {
    throw new Error(`${error.message}; it has ${sink.publications.length}`);
  });
  expect(sink.publications.length).toBe(count);
}

/** Publishes a mark and waits for it: whatever was to come before it has come. */
export async function settle(instance: Instance, channel: ChannelName, sink: Recorder): Promise<void> {
  const mark = JSON.stringify(`mark ${++made}`);
  await instance.broker.publish(channel, mark);
  await until(() => sink.data.includes(mark), { what: "the mark" });
  sink.publications.splice(sink.data.indexOf(mark), 1);
}

/** Expects a rejection with exactly this error of the table. */
export async function failsWith(promise: Promise<unknown>, error: ErrorCode): Promise<void> {
  const failure = await promise.then(
    (value) => new Error(`resolved with ${JSON.stringify(value)}`),
    (reason) => reason,
  );
  if (!(failure instanceof CommandError)) throw failure;
  expect(failure.error).toEqual(error);
}

/** Numbers as bodies: `0`, `1`, … */
export function numbered(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => String(from + index));
}

/** Lets everything else run: an embedded broker answers so soon that nothing would happen in between. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Publishes one after the other. @returns the offsets */
export async function publishAll(
  instance: Instance,
  channel: ChannelName,
  bodies: readonly string[],
): Promise<number[]> {
  const offsets: number[] = [];
  for (const body of bodies) {
    offsets.push((await instance.broker.publish(channel, body)).offset);
    if (offsets.length % 4 === 0) await breathe();
  }
  return offsets;
}
