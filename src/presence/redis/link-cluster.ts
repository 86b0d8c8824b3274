import { ClusterNode } from "./cluster-node.ts";
import { type Command, LinkError, type RedisLink, type Reply, ReplyError } from "./link.ts";
import { slotOf } from "./parts.ts";

export interface ClusterLinkOptions {
  /** Nodes that are asked first, `host:port`; one that answers is enough, it names the others. */
  readonly seeds: readonly string[];
  /** The way to one node. */
  readonly connect: (address: string) => RedisLink;
}

/** Ways to the nodes of a Redis Cluster, one connection each. */
export interface ClusterLink {
  /** The way to whichever node has the slot of a hash tag. Closing it leaves the others open. */
  lane(tag: string): RedisLink;
  /** Asks who has which slots. @throws LinkError */
  masters(timeoutMs: number): Promise<readonly Master[]>;
  /** The way to one node, past the map. */
  node(address: string): RedisLink;
  /** Idempotent. */
  close(): void;
}

/** A master with a range of slots. */
export interface Master {
  readonly address: string;
  readonly first: number;
  readonly last: number;
  readonly replicas: number;
}

/** A pipeline of which some commands were sent on. */
interface Redirected {
  readonly slot: number;
  /** Who redirected. */
  readonly address: string;
  readonly commands: readonly Command[];
  readonly replies: Reply[];
  /** When it must be over, on the monotonic clock. */
  readonly end: number;
}

/** Times a command may be redirected, each by a node that says where to. */
const MOST_REDIRECTS = 4;
/** How long a node may take to say who has which slots, and the least time between two questions of that kind, ms. */
const MAP_TIMEOUT_MS = 1_000;
const MAP_PAUSE_MS = 100;
/** Nodes asked for the map at once: some may be those that just died. */
const MAP_WITNESSES = 3;
/** Most nodes that are kept in mind; Redis Cluster itself is made for a thousand. */
const MOST_NODES = 1_024;
/** A range has a slot at least. */
const MOST_RANGES = 16_384;

/**
 * Redis Cluster over RESP. Where a slot lies is learned from the nodes when it is first needed, when a node redirects
 * (`MOVED`), and when one fails. What a node has redirected it has not run, so it is sent again, a few times at most;
 * nothing else is ever repeated. While a slot is moved between two nodes, commands on keys that are partly here and
 * partly there are refused (`TRYAGAIN`), and that is handed on.
 */
export function clusterLink(options: ClusterLinkOptions): ClusterLink {
  return new Cluster(options);
}

class Cluster implements ClusterLink {
  readonly #options: ClusterLinkOptions;
  readonly #nodes = new Map<string, ClusterNode>();
  /** Of the slots in use. */
  readonly #owners = new Map<number, string>();
  readonly #used = new Set<number>();
  #masters: readonly Master[] = [];
  #mapping: Promise<void> | undefined;
  #mappedMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: ClusterLinkOptions) {
    this.#options = options;
  }

  lane(tag: string): RedisLink {
    const slot = slotOf(tag);
    this.#used.add(slot);
    let open = true;
    return {
      send: (commands, timeoutMs) => {
        if (!open || this.#closed) return Promise.reject(new LinkError("refused", "closed"));
        return inTime(timeoutMs, this.#send(slot, commands, timeoutMs)).catch((error) => {
          if (error instanceof LinkError && error.kind === "timeout") this.#ownerOf(slot)?.suspect();
          throw error;
        });
      },
      reset: () => this.#ownerOf(slot)?.reset(),
      close() {
        open = false;
      },
    };
  }

  async masters(timeoutMs: number): Promise<readonly Master[]> {
    const asked = this.#witnesses().map(async (address) => {
      const [reply] = await this.#node(address).alone([["CLUSTER", "SLOTS"]], timeoutMs);
      if (reply instanceof ReplyError) throw new LinkError("answer", reply.code);
      return readMasters(reply, address);
    });
    try {
      return await Promise.any(asked);
    } catch (error) {
      throw (error as AggregateError).errors[0];
    }
  }

  node(address: string): RedisLink {
    const node = this.#node(address);
    return {
      send: (commands, timeoutMs) => node.alone(commands, timeoutMs),
      reset: () => node.reset(),
      close() {},
    };
  }

  close(): void {
    this.#closed = true;
    for (const node of this.#nodes.values()) node.close();
    this.#nodes.clear();
  }

  async #send(slot: number, commands: readonly Command[], timeoutMs: number): Promise<Reply[]> {
    const end = performance.now() + timeoutMs;
    try {
      const address = await this.#owner(slot);
      const replies = await this.#node(address).send(commands, timeoutMs);
      await this.#follow({ slot, address, commands, replies, end });
      return replies;
    } catch (error) {
      // Perhaps another node has taken its slots. The next attempt knows.
      this.#map().catch(() => {});
      throw error;
    }
  }

  /** Sends what was redirected to where it belongs, and puts the answers in place. */
  async #follow({ slot, address, commands, replies, end }: Redirected): Promise<void> {
    let from = address;
    for (let redirects = 0; ; redirects++) {
      const open = replies.flatMap((reply, index) => (redirectOf(reply) === undefined ? [] : [index]));
      if (open.length === 0) return;
      if (redirects === MOST_REDIRECTS) throw new LinkError("answer", "TRYAGAIN");
      const leftMs = end - performance.now();
      if (leftMs <= 0) throw new LinkError("timeout");
      const refusal = replies[open[0]!] as ReplyError;
      from = whole(refusal.target!, from);
      const asking = refusal.code === "ASK";
      if (!asking) this.#moved(slot, from);
      const again = open.map((index) => commands[index]!);
      const answers = await this.#again(from, again, asking, leftMs);
      for (const [position, index] of open.entries()) replies[index] = answers[position]!;
    }
  }

  async #again(
    address: string,
    commands: readonly Command[],
    asking: boolean,
    timeoutMs: number,
  ): Promise<Reply[]> {
    const node = this.#node(address);
    if (!asking) return await node.send(commands, timeoutMs);
    const replies = await node.send(
      commands.flatMap((command) => [["ASKING"], command]),
      timeoutMs,
    );
    return replies.filter((_, index) => index % 2 === 1);
  }

  #ownerOf(slot: number): ClusterNode | undefined {
    return this.#nodes.get(this.#owners.get(slot) ?? masterOf(slot, this.#masters) ?? "");
  }

  async #owner(slot: number): Promise<string> {
    const known = this.#owners.get(slot) ?? masterOf(slot, this.#masters);
    if (known !== undefined) return known;
    await this.#map();
    const owner = this.#owners.get(slot);
    if (owner === undefined) throw new LinkError("answer", "CLUSTERDOWN");
    return owner;
  }

  /** A node has said where a slot is now. Others may have moved with it. */
  #moved(slot: number, address: string): void {
    this.#owners.set(slot, address);
    this.#map().catch(() => {});
  }

  /** Learns where the slots are. Rejects when nobody says. */
  #map(): Promise<void> {
    if (this.#closed) return Promise.reject(new LinkError("refused", "closed"));
    this.#mapping ??= this.#ask().finally(() => {
      this.#mapping = undefined;
    });
    return this.#mapping;
  }

  async #ask(): Promise<void> {
    const restMs = this.#mappedMs + MAP_PAUSE_MS - performance.now();
    if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, restMs));
    this.#mappedMs = performance.now();
    const masters = await this.masters(MAP_TIMEOUT_MS);
    if (this.#closed) return;
    this.#masters = masters;
    for (const slot of this.#used) {
      const owner = masterOf(slot, masters);
      // Without one the last known is asked, which says so itself.
      if (owner !== undefined) this.#owners.set(slot, owner);
    }
    const named = new Set([...masters.map(({ address }) => address), ...this.#owners.values()]);
    for (const [address, node] of this.#nodes) {
      if (named.has(address) || node.busy) continue;
      this.#nodes.delete(address);
      node.close();
    }
  }

  /** Whom to ask for the map: some of the nodes at random, those that have failed last. */
  #witnesses(): string[] {
    const known = [...new Set([...this.#nodes.keys(), ...this.#options.seeds])];
    const order = known.map((address) => ({
      address,
      rank: Math.random() + (this.#nodes.get(address)?.isSuspect ? 1 : 0),
    }));
    order.sort((one, other) => one.rank - other.rank);
    return order.slice(0, MAP_WITNESSES).map(({ address }) => address);
  }

  #node(address: string): ClusterNode {
    let node = this.#nodes.get(address);
    if (!node) {
      if (this.#closed || this.#nodes.size >= MOST_NODES) throw new LinkError("refused", "closed");
      node = new ClusterNode(this.#options.connect(address));
      this.#nodes.set(address, node);
    }
    return node;
  }
}

/** Waits for what was begun as long as it may take. @throws LinkError */
async function inTime<T>(timeoutMs: number, begun: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new LinkError("timeout")), timeoutMs);
  try {
    return await Promise.race([begun, late]);
  } finally {
    clearTimeout(timer);
  }
}

function masterOf(slot: number, masters: readonly Master[]): string | undefined {
  return masters.find(({ first, last }) => first <= slot && slot <= last)?.address;
}

function redirectOf(reply: Reply | undefined): string | undefined {
  return reply instanceof ReplyError ? reply.target : undefined;
}

/** An address whose host may be left out, when it is the one that was asked, or be IPv6 without brackets. */
function whole(address: string, asked: string): string {
  const at = address.lastIndexOf(":");
  const host = address.slice(0, at);
  if (host === "") return asked.slice(0, asked.lastIndexOf(":")) + address;
  return host.includes(":") && !host.startsWith("[") ? `[${host}]${address.slice(at)}` : address;
}

/** Reads `CLUSTER SLOTS`. @throws LinkError when it is none */
function readMasters(reply: Reply | undefined, asked: string): Master[] {
  const ranges = Array.isArray(reply) ? (reply as readonly Reply[]) : undefined;
  const masters = ranges?.map((range) => {
    const [first, last, master, ...replicas] = Array.isArray(range) ? (range as readonly Reply[]) : [];
    const [host, port] = Array.isArray(master) ? (master as readonly Reply[]) : [];
    if (typeof first !== "number" || typeof last !== "number" || typeof port !== "number") return undefined;
    // A node that does not know its own name, or a name that nobody has given.
    const known = typeof host === "string" && host !== "?" ? host : "";
    return { address: whole(`${known}:${port}`, asked), first, last, replicas: replicas.length };
  });
  const isMap = masters?.every((master) => master !== undefined) && masters.length <= MOST_RANGES;
  if (!isMap) throw new LinkError("answer", "SHAPE");
  return masters;
}
