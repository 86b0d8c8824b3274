import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readInfo } from "../../src/broker/nats/link/headers.ts";
import { parseChannel } from "../../src/core/channel.ts";
import { CommandError } from "../../src/core/errors.ts";
import { clientIp } from "../../src/http/client-ip.ts";
import { originPolicy } from "../../src/http/origin.ts";
import { unpackMember } from "../../src/presence/redis/keys.ts";
import { CENTRIFUGE_CODECS } from "../../src/protocol/centrifuge/codecs.ts";
import { decodePusherFrame } from "../../src/protocol/pusher/decode.ts";

/**
 * Feeds what outsiders and the back side send, changed at random from a corpus, to whatever reads it. `npm run fuzz` takes
 * seconds (60) and a seed: npm run fuzz -- 3600 7. A throw that is no answer, a call of more than 50 ms twice in a row, or
 * memory that grows ends it with 1 and the input.
 */

const LONGEST_MS = 50;
const MOST_GROWN_BYTES = 200e6;

const { "centrifuge-json": json, "centrifuge-protobuf": protobuf } = CENTRIFUGE_CODECS;
const allowed = originPolicy(["https://app.example.com", "loopback"]);
const address = clientIp({ kind: "header", header: "x-forwarded-for", cidrs: ["10.0.0.0/8"], hops: 1 });
const latin1 = new TextDecoder("latin1");

/** Each reads one input, and throws nothing but what is an answer. */
const TARGETS: Readonly<Record<string, (bytes: Uint8Array, text: string) => unknown>> = {
  json: (_, text) => json.decode(text),
  protobuf: (bytes) => protobuf.decode(bytes),
  pusher: (_, text) => decodePusherFrame(text),
  redis: (_, text) => unpackMember("client", text),
  info: (_, text) => readInfo(text),
  channel: (_, text) => parseChannel(text),
  origin: (_, text) => allowed(text, "app.example.com"),
  address: (_, text) =>
    address(new Headers({ "x-forwarded-for": text.replace(/[^\x20-\x7e]/g, "") }), "10.0.0.1"),
  encoded: (_, text) => {
    const publication = json.publication({ offset: 1, data: JSON.stringify(text), timeMs: 1, event: text });
    JSON.parse(json.publicationPush(text, publication) as string);
  },
};

const CORPUS = readdirSync(join(import.meta.dir, "corpus")).map(
  (name) => new Uint8Array(readFileSync(join(import.meta.dir, "corpus", name))),
);

/** xorshift32: the same seed, the same inputs. */
function random(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** One of the corpus with some bytes changed, doubled, or taken from another. */
function mutated(next: (below: number) => number): Uint8Array {
  let bytes = Uint8Array.from(CORPUS[next(CORPUS.length)]!);
  for (let changes = 1 + next(4); changes > 0; changes--) {
    const at = next(bytes.length + 1);
    const kind = next(4);
    if (kind === 0 && at < bytes.length) bytes[at] = next(256);
    else if (kind === 1) bytes = bytes.slice(0, at);
    else {
      const other = kind === 2 ? bytes : CORPUS[next(CORPUS.length)]!;
      const from = next(other.length + 1);
      const part = other.slice(from, from + next(64));
      bytes = Uint8Array.from([...bytes.slice(0, at), ...part, ...bytes.slice(at)]).slice(0, 65_536);
    }
  }
  return bytes;
}

/** Why an input is a fault, if it is. */
function faultOf(
  target: (bytes: Uint8Array, text: string) => unknown,
  bytes: Uint8Array,
): string | undefined {
  const text = latin1.decode(bytes);
  let ms = 0;
  // Twice: the collector may have run in between.
  for (let attempt = 0; attempt < 2; attempt++) {
    const began = performance.now();
    try {
      target(bytes, text);
    } catch (error) {
      if (!(error instanceof CommandError)) return `it throws: ${error}`;
    }
    ms = performance.now() - began;
    if (ms < LONGEST_MS) return undefined;
  }
  return `it takes ${ms} ms`;
}

const [seconds = 60, seed = Date.now() % 1e6] = process.argv.slice(2).map(Number);
const next = random(seed);
const end = performance.now() + seconds * 1_000;
let tried = 0;
let floor = 0;
while (performance.now() < end) {
  for (let n = 0; n < 1_000; n++, tried++) {
    const bytes = mutated(next);
    for (const [name, target] of Object.entries(TARGETS)) {
      const fault = faultOf(target, bytes);
      if (!fault) continue;
      console.error(
        `${name}: ${fault}\nseed ${seed}, input ${tried}: ${Buffer.from(bytes).toString("base64")}`,
      );
      process.exit(1);
    }
  }
  if (tried % 50_000 !== 0) continue;
  Bun.gc(true);
  const resident = process.memoryUsage.rss();
  floor ||= resident;
  if (resident - floor > MOST_GROWN_BYTES) {
    console.error(`memory grows: ${floor} to ${resident} bytes after ${tried} inputs, seed ${seed}`);
    process.exit(1);
  }
}
console.log(`${tried} inputs to ${Object.keys(TARGETS).length} readers, seed ${seed}: no fault`);
