import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A folder of the corpus. */
export type Corpus = "frames" | "http" | "nats" | "redis" | "signals";

export type Below = (below: number) => number;

/** xorshift32: the same seed, the same inputs. */
export function random(seed: number): Below {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const folders = new Map<string, readonly Uint8Array[]>();

export function corpus(name: Corpus): readonly Uint8Array[] {
  const folder = join(import.meta.dir, "corpus", name);
  const known = folders.get(name);
  if (known) return known;
  const all = readdirSync(folder)
    .sort()
    .map((file) => new Uint8Array(readFileSync(join(folder, file))));
  folders.set(name, all);
  return all;
}

/** Longest input, bytes. */
const LONGEST = 65_536;

/** One of the corpus with some bytes changed, doubled, or taken from another. */
export function mutated(next: Below, name: Corpus): Uint8Array {
  const all = corpus(name);
  let bytes = Uint8Array.from(all[next(all.length)]!);
  for (let changes = 1 + next(4); changes > 0; changes--) {
    const at = next(bytes.length + 1);
    const kind = next(5);
    if (kind === 0 && at < bytes.length) bytes[at] = next(256);
    else if (kind === 1) bytes = bytes.slice(0, at);
    else if (kind === 2) bytes = spliced(bytes, at, ODD[next(ODD.length)]!);
    else {
      const other = kind === 3 ? bytes : all[next(all.length)]!;
      const from = next(other.length + 1);
      bytes = spliced(bytes, at, other.slice(from, from + next(64)));
    }
  }
  return bytes;
}

function spliced(bytes: Uint8Array, at: number, part: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([...bytes.slice(0, at), ...part, ...bytes.slice(at)]).slice(0, LONGEST);
}

/** What readers stumble over. */
const ODD = [
  ...[
    "1e999",
    "-0",
    "9007199254740993",
    "0x10",
    " ",
    "\0",
    "\r\n",
    "\u2028",
    "\ufeff",
    "__proto__",
    "constructor",
  ],
  ...[
    '"\\ud800"',
    "[".repeat(200),
    '{"a":'.repeat(120),
    "null",
    '""',
    "%",
    "%zz",
    "|",
    "*",
    ">",
    ".",
    "9".repeat(400),
  ],
].map((text) => new TextEncoder().encode(text));

/** Values of plain JSON, changed somewhere: whole where {@link mutated} seldom leaves JSON whole. */
export function mutatedValue(next: Below, value: unknown): unknown {
  if (next(12) === 0) return STRANGE[next(STRANGE.length)];
  if (typeof value === "string" && next(4) === 0) {
    const at = next(value.length + 1);
    return value.slice(0, at) + String(STRANGE[next(STRANGE.length)]) + value.slice(at + next(4));
  }
  if (Array.isArray(value)) {
    const items = value.map((item) => mutatedValue(next, item));
    if (next(8) === 0) items.splice(next(items.length + 1), next(3), STRANGE[next(STRANGE.length)]);
    return items;
  }
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, member]) =>
      next(16) === 0 ? [] : [[name, mutatedValue(next, member)]],
    ),
  );
}

const STRANGE: readonly unknown[] = [
  ...[
    null,
    true,
    0,
    -1,
    1.5,
    1e308,
    2 ** 53,
    "",
    " ",
    "|",
    "%",
    "%u12",
    "\n",
    "\ud800",
    "\u2028",
    "{}",
    "[",
    "null",
  ],
  ...["x".repeat(300), [], {}, [[]], ["a", "b"], { a: { b: [] } }, '"\\ud800"', "9".repeat(40), "__proto__"],
];
