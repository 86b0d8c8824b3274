import { setTimeout as sleep } from "node:timers/promises";
import { utf8Decoder } from "../../core/text.ts";
import { connect, type NatsConnection } from "../../nats/client.ts";
import type { Latency } from "../../world/links.ts";
import { startWorld, type World } from "../../world/world.ts";
import { BenchError } from "../error.ts";
import { Times } from "../tally.ts";
import { tokenMaker } from "../tokens.ts";
import { joinRegion } from "./client.ts";

export interface RegionsOptions {
  /** Number of regions, or their codes. */
  readonly regions: number | readonly string[];
  readonly latency: Latency;
  /** Messages of each kind from each region. */
  readonly messages: number;
  readonly ratePerSecond: number;
}

/** Median and 99th percentile, ms. */
export interface Spread {
  readonly p50: number;
  readonly p99: number;
}

/** Times from a publisher's region to a subscriber's. */
interface PairFigures {
  readonly from: string;
  readonly to: string;
  readonly roundTripMs: number;
  /**
   * Time from publishing until a raw client of an instance in `to` has the message. `plain` and `republished`: the same
   * for subscribers of plain NATS, core and republished by the stream.
   */
  readonly delivered: Spread;
  readonly republished: Spread;
  readonly plain: Spread;
}

/** Times in one publisher's region. */
interface PublisherFigures {
  readonly from: string;
  readonly home: boolean;
  /** Answer time of the region's instance (server API), and of JetStream's own acknowledgement. */
  readonly ack: Spread;
  readonly plainAck: Spread;
}

/** Traffic that a message of 1 kB from the home causes on a link, and the delay of the copy at its end. */
interface LinkFigures {
  readonly from: string;
  readonly to: string;
  /** Bytes per message, by number of listeners in `to`. */
  readonly bytes: Readonly<Record<number, number>>;
  /** Time from the publish until the copy has the message, ms. */
  readonly mirrorLag: Spread;
}

export interface RegionsOutcome {
  readonly home: string;
  readonly natsVersion: string;
  readonly publishers: readonly PublisherFigures[];
  readonly pairs: readonly PairFigures[];
  readonly links: readonly LinkFigures[];
  /** Messages that did not arrive everywhere; must be 0. */
  readonly lost: number;
}

type Tell = (stage: string, done: number, total: number) => void;

const CHANNEL = "chat:bench";
const STREAM = "RT_chat";
const BODY_BYTES = 1_000;
const BODIES = 100;
const LISTENERS = [0, 1, 50] as const;
const LAG_SAMPLES = 30;
const PATIENCE_MS = 10_000;

/** One region, and this process's connections to it. */
interface Post {
  readonly region: string;
  readonly url: string;
  readonly websocket: string;
  readonly nats: NatsConnection;
}

/**
 * Starts a world and measures in it: publish and delivery times for each pair of regions, next to plain NATS on the
 * same servers; traffic on the links; and the delay of copies. All in this process, by one clock.
 * @throws BenchError, WorldError, ChildError
 */
export async function measureRegions(
  options: RegionsOptions,
  signal: AbortSignal,
  tell: Tell,
): Promise<RegionsOutcome> {
  const { regions, latency } = options;
  tell("starting the world", 0, 1);
  await using world = await startWorld({ regions, latency });
  await using rest = new AsyncDisposableStack();
  const posts = await Promise.all(
    world.regions.map(async ({ name, instances, nats: { url } }): Promise<Post> => {
      const nats = await connect({ servers: url });
      rest.defer(() => nats.close());
      return { region: name, url: instances[0]!.url, websocket: instances[0]!.websocket, nats };
    }),
  );
  const home = posts[0]!;
  const token = tokenMaker({ secret: world.secrets.token, users: "own" });
  const traffic = new Traffic(posts, options, signal);
  for (const [number, { websocket, region }] of posts.entries()) {
    const onData = (data: unknown) => traffic.heard("delivered", region, data);
    rest.use(await joinRegion({ url: websocket, token: token(number), channel: CHANNEL, onData }));
  }
  await Promise.all(posts.map((post) => level(posts, post)));
  for (const [place, post] of posts.entries()) {
    signal.throwIfAborted();
    tell("publishing", place, posts.length);
    await traffic.from(post, world.secrets.apiKey);
  }
  const far = posts.slice(1);
  const bytes = new Map(far.map(({ region }) => [region, {} as Record<number, number>]));
  for (const [place, count] of LISTENERS.entries()) {
    signal.throwIfAborted();
    tell("bytes over the links", place, LISTENERS.length);
    for (const [region, each] of await bytesPerMessage(world, posts, count, token))
      bytes.get(region)![count] = each;
  }
  const links: LinkFigures[] = [];
  for (const [place, post] of far.entries()) {
    tell("copies", place, far.length);
    const mirrorLag = await lagOf(home, post, signal);
    links.push({ from: home.region, to: post.region, bytes: bytes.get(post.region)!, mirrorLag });
  }
  return {
    home: home.region,
    natsVersion: home.nats.info?.version ?? "",
    ...traffic.figures(world),
    links,
  };
}

type Kind = "delivered" | "republished" | "plain";

/** Publishes from one region to all, and records when each message arrived where. */
class Traffic {
  readonly #posts: readonly Post[];
  readonly #options: RegionsOptions;
  readonly #signal: AbortSignal;
  /** By kind, publisher and subscriber. */
  readonly #arrivals = new Map<string, Times>();
  readonly #acks = new Map<string, { readonly own: Times; readonly plain: Times }>();
  #publisher = "";
  /** The kind that is being measured; stored messages arrive at clients and at plain subscribers alike. */
  #timed: Kind = "delivered";
  #sentAt: number[] = [];
  #heard = 0;
  #lost = 0;

  constructor(posts: readonly Post[], options: RegionsOptions, signal: AbortSignal) {
    this.#posts = posts;
    this.#options = options;
    this.#signal = signal;
    for (const { nats, region } of posts) {
      nats.subscribe("rtl.chat.bench", {
        callback: (_, { data }) => {
          // Joins arrive on this subject too, without a body.
          if (data.length > 0) this.heard("republished", region, JSON.parse(utf8Decoder.decode(data)));
        },
      });
      nats.subscribe("bench.plain", {
        callback: (_, message) => this.heard("plain", region, message.json()),
      });
    }
  }

  heard(kind: Kind, region: string, data: unknown): void {
    const sentAt = this.#sentAt[data as number];
    if (sentAt === undefined || kind !== this.#timed) return;
    this.#heard++;
    times(this.#arrivals, `${kind} ${this.#publisher} ${region}`).record(performance.now() - sentAt);
  }

  /** Publishes from a region: through its instance, then to plain JetStream, then without a stream. */
  async from({ region, url, nats }: Post, apiKey: string): Promise<void> {
    this.#publisher = region;
    const acks = { own: new Times(), plain: new Times() };
    this.#acks.set(region, acks);
    const headers = { "X-API-Key": apiKey };
    const js = nats.jetstream();
    const body = (data: number) => JSON.stringify({ channel: CHANNEL, data });
    await this.#paced("delivered", async (n) => {
      const response = await fetch(`${url}/api/publish`, { method: "POST", headers, body: body(n) });
      const { error } = (await response.json()) as { error?: { code: number; message: string } };
      if (error) throw new BenchError(`publishing in ${region}: ${error.code} ${error.message}`);
      return acks.own;
    });
    await this.#paced("republished", async (n) => {
      await js.publish("rt.chat.bench", String(n));
      return acks.plain;
    });
    await this.#paced("plain", async (n) => {
      nats.publish("bench.plain", String(n));
      return undefined;
    });
  }

  figures(world: World): Pick<RegionsOutcome, "publishers" | "pairs" | "lost"> {
    const names = this.#posts.map(({ region }) => region);
    const at = (kind: Kind, from: string, to: string) =>
      spread(times(this.#arrivals, `${kind} ${from} ${to}`));
    return {
      lost: this.#lost,
      publishers: names.map((from, place) => {
        const { own, plain } = this.#acks.get(from)!;
        return { from, home: place === 0, ack: spread(own), plainAck: spread(plain) };
      }),
      pairs: names.flatMap((from) =>
        names.map((to) => ({
          ...{ from, to, roundTripMs: world.links.roundTripMs(from, to) },
          delivered: at("delivered", from, to),
          republished: at("republished", from, to),
          plain: at("plain", from, to),
        })),
      ),
    };
  }

  /** Publishes at a fixed rate, and waits until every region has received everything. */
  async #paced(kind: Kind, send: (n: number) => Promise<Times | undefined>): Promise<void> {
    const { messages, ratePerSecond } = this.#options;
    this.#timed = kind;
    this.#sentAt = [];
    this.#heard = 0;
    const start = performance.now();
    const acks: Promise<void>[] = [];
    for (let n = 0; n < messages; n++) {
      await sleep(Math.max(0, start + (n * 1000) / ratePerSecond - performance.now()), undefined, {
        signal: this.#signal,
      });
      const at = performance.now();
      this.#sentAt.push(at);
      acks.push(send(n).then((ack) => ack?.record(performance.now() - at)));
    }
    await Promise.all(acks);
    const wanted = messages * this.#posts.length;
    const end = performance.now() + PATIENCE_MS;
    while (this.#heard < wanted && performance.now() < end)
      await sleep(5, undefined, { signal: this.#signal });
    this.#lost += Math.max(0, wanted - this.#heard);
    this.#sentAt = [];
  }
}

/**
 * Bytes that one message of 1 kB at the home causes on the link to each other region, with `listeners` clients there.
 */
async function bytesPerMessage(
  world: World,
  posts: readonly Post[],
  listeners: number,
  token: (number: number) => string,
): Promise<Map<string, number>> {
  const [home, ...far] = posts as [Post, ...Post[]];
  const name = `bytes${listeners}`;
  using clients = new DisposableStack();
  let heard = 0;
  for (const { websocket } of far) {
    const all = Array.from({ length: listeners }, (_, number) =>
      joinRegion({
        url: websocket,
        token: token(1_000 + number),
        channel: `chat:${name}`,
        onData: () => void heard++,
      }),
    );
    for (const client of await Promise.all(all)) clients.use(client);
  }
  const js = home.nats.jetstream();
  const body = JSON.stringify("x".repeat(BODY_BYTES - 2));
  await js.publish(`rt.chat.${name}`, body);
  await Promise.all(far.map((post) => level(posts, post)));
  const counters = () => far.map(({ region }) => world.links.bytes(home.region, region).nats);
  const before = counters();
  heard = 0;
  for (let n = 0; n < BODIES; n++) await js.publish(`rt.chat.${name}`, body);
  await Promise.all(far.map((post) => level(posts, post)));
  const end = performance.now() + PATIENCE_MS;
  while (heard < BODIES * listeners * far.length && performance.now() < end) await sleep(5);
  const after = counters();
  return new Map(far.map(({ region }, index) => [region, (after[index]! - before[index]!) / BODIES]));
}

/** Delay between a publish at the home and its arrival in a region's copy. */
async function lagOf(home: Post, post: Post, signal: AbortSignal): Promise<Spread> {
  const lag = new Times();
  const js = home.nats.jetstream();
  for (let sample = 0; sample < LAG_SAMPLES; sample++) {
    signal.throwIfAborted();
    const at = performance.now();
    const { seq } = await js.publish("rt.chat.lag", String(sample));
    await reached(post, seq);
    lag.record(performance.now() - at);
  }
  return spread(lag);
}

/** Waits until a region's copy has everything stored at the home, which has no copy itself. */
async function level([home]: readonly Post[], post: Post): Promise<void> {
  if (post === home) return;
  const { data } = await home!.nats.request(`$JS.API.STREAM.INFO.${STREAM}`, "", { timeout: PATIENCE_MS });
  const { state } = JSON.parse(utf8Decoder.decode(data)) as { state: { last_seq: number } };
  await reached(post, state.last_seq);
}

async function reached({ nats, region }: Post, seq: number): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while ((await newest(nats, `${STREAM}_${region}`)) < seq) {
    if (performance.now() > end) throw new BenchError(`the copy in ${region} does not get level`);
  }
}

/** Sequence of the newest message in a copy; 0 for an empty copy or none yet. */
async function newest(nats: NatsConnection, stream: string): Promise<number> {
  try {
    const { headers } = await nats.request(`$JS.API.DIRECT.GET.${stream}`, '{"last_by_subj":">"}');
    return Number(headers?.get("Nats-Sequence") || 0);
  } catch {
    return 0;
  }
}

function times(all: Map<string, Times>, key: string): Times {
  const known = all.get(key) ?? new Times();
  all.set(key, known);
  return known;
}

function spread(all: Times): Spread {
  return { p50: all.percentileMs(50) ?? Number.NaN, p99: all.percentileMs(99) ?? Number.NaN };
}
