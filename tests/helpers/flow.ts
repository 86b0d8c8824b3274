import { expect } from "bun:test";
import type { Attachment, Broker, ChannelSink } from "../../src/broker/broker.ts";
import { type ChannelName, parseChannel } from "../../src/core/channel.ts";
import { NAMESPACE_DEFAULTS, type Namespaces } from "../../src/core/namespace.ts";
import type { Publication } from "../../src/core/publication.ts";
import { until } from "./until.ts";

/** One namespace with history, one without. */
export const FLOW_NAMESPACES: Namespaces = new Map(
  [
    {
      ...NAMESPACE_DEFAULTS,
      name: "keep",
      history: { size: 10_000, ageMs: 600_000, recoverLimit: 1_000, replicas: 1 },
    },
    { ...NAMESPACE_DEFAULTS, name: "live" },
  ].map((rules) => [rules.name, rules]),
);

interface Lane {
  readonly name: ChannelName;
  /** Offset by body. */
  readonly acked: Map<string, number>;
  readonly got: { offset: number; data: unknown }[];
  readonly losses: { why: string }[];
  attachment: Attachment;
  start: number;
}

/**
 * Publishes numbered messages to many channels and follows them all, and knows what must have come of it: every
 * acknowledged message after a follower's start once, in order, under its own offset.
 */
export class Flow {
  readonly lanes: Lane[] = [];
  failed = 0;
  #next = 0;
  #stop = false;
  readonly #workers: Promise<void>[] = [];

  /** Follows `count` channels of namespace keep with one broker. */
  static async follow(broker: Broker, count: number): Promise<Flow> {
    const flow = new Flow();
    const prefix = Math.random().toString(36).slice(2);
    await Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const got: Lane["got"] = [];
        const losses: Lane["losses"] = [];
        const sink: ChannelSink = {
          publication: ({ offset, data }: Publication) => void got.push({ offset, data }),
          event() {},
          lost: (_position, why) => void losses.push({ why }),
        };
        const name = parseChannel(`keep:${prefix}.${index}`);
        const attachment = await broker.attach(name, sink);
        flow.lanes.push({
          name,
          acked: new Map(),
          got,
          losses,
          attachment,
          start: attachment.position.offset,
        });
      }),
    );
    return flow;
  }

  /** Publishes with so many workers until `stop`; a publish that fails is tried again with the same id. */
  publish(broker: Broker, workers: number): void {
    for (let n = 0; n < workers; n++) this.#workers.push(this.#work(broker));
  }

  get acked(): number {
    return this.lanes.reduce((sum, lane) => sum + lane.acked.size, 0);
  }

  get got(): number {
    return this.lanes.reduce((sum, lane) => sum + lane.got.length, 0);
  }

  /** Waits until so many more are acknowledged. */
  async more(count: number): Promise<void> {
    const target = this.acked + count;
    await until(() => this.acked >= target, {
      what: `${count} more acknowledged messages`,
      timeoutMs: 15_000,
    });
  }

  async stop(): Promise<void> {
    this.#stop = true;
    await Promise.all(this.#workers);
  }

  /** Waits for the last message, and checks every channel. */
  async check(timeoutMs = 10_000): Promise<void> {
    await until(() => this.got >= this.acked, { timeoutMs, what: "all acknowledged messages" }).catch(
      (error) => {
        const late = this.lanes.filter((lane) => lane.got.length < lane.acked.size);
        throw new Error(
          `${error.message}: ${this.got} of ${this.acked}; ${late.length} channels lack some, ` +
            `first ${late[0]?.name.id}: ${late[0]?.got.length} of ${late[0]?.acked.size}`,
        );
      },
    );
    for (const { name, acked, got, losses, attachment } of this.lanes) {
      const expected = [...acked]
        .map(([data, offset]) => ({ offset, data }))
        .sort((a, b) => a.offset - b.offset);
      if (!Bun.deepEquals(got, expected)) {
        const at = got.findIndex((one, index) => one.offset !== expected[index]?.offset);
        throw new Error(
          `${name.id}: at ${at} of ${got.length}/${expected.length} got ` +
            `${got.slice(at - 2, at + 3).map((one) => one.offset)}, expected ${expected.slice(at - 2, at + 3).map((one) => one.offset)}`,
        );
      }
      expect(losses).toEqual([]);
      if (got.length > 0) expect(attachment.position.offset).toBe(got.at(-1)!.offset);
    }
  }

  async #work(broker: Broker): Promise<void> {
    while (!this.#stop) {
      const n = this.#next++;
      const lane = this.lanes[Math.floor(Math.random() * this.lanes.length)]!;
      const body = `"${n}"`;
      for (let id = `flow-${lane.name.name}-${n}`; ; ) {
        try {
          const { offset } = await broker.publish(lane.name, body, { id });
          lane.acked.set(body, offset);
          break;
        } catch {
          this.failed++;
          if (this.failed > 10_000) return;
        }
      }
    }
  }
}
