import { CommandError } from "../../src/core/errors.ts";
import { mutated, random } from "./inputs.ts";
import { READERS, type Reader } from "./readers.ts";
import { httpWorld, redisWorld, signalWorld } from "./worlds.ts";

/**
 * Feeds what outsiders and the back side send, changed at random from a corpus, to whatever reads it. `npm run fuzz` takes
 * seconds (60) and a seed: npm run fuzz -- 3600 7. A throw that is no answer, a call of more than 50 ms twice in a row, an
 * answer that cannot be read, or memory that grows ends it with 1 and the input.
 */

const LONGEST_MS = 50;
const MOST_GROWN_BYTES = 200e6;

const latin1 = new TextDecoder("latin1");

/** Why an input is a fault, if it is. */
function faultOf({ read }: Reader, bytes: Uint8Array): string | undefined {
  const text = latin1.decode(bytes);
  let ms = 0;
  // Twice: the collector may have run in between.
  for (let attempt = 0; attempt < 2; attempt++) {
    const began = performance.now();
    try {
      read(bytes, text);
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

function failed(name: string, fault: string, input: string): never {
  console.error(`${name}: ${fault}\nseed ${seed}, input: ${input}`);
  process.exit(1);
}

let doing = { name: "", input: "" };
process.on("unhandledRejection", (error) => failed(doing.name, `nobody catches: ${error}`, doing.input));
process.on("uncaughtException", (error) => failed(doing.name, `nobody catches: ${error}`, doing.input));

const worlds = [await httpWorld(), await signalWorld(), await redisWorld()];
const counts = new Map<string, number>();
const end = performance.now() + seconds * 1_000;
let tried = 0;
let floor = 0;
for (let round = 1; performance.now() < end; round++) {
  for (const [name, reader] of Object.entries(READERS)) {
    for (let n = 0; n < 200; n++, tried++) {
      const bytes = mutated(next, reader.corpus);
      const fault = faultOf(reader, bytes);
      if (fault) failed(name, fault, Buffer.from(bytes).toString("base64"));
    }
  }
  for (const world of worlds) {
    doing = { name: world.name, input: "" };
    for (let n = 0; n < 50; n++) {
      const began = performance.now();
      await world
        .step(next, (input) => {
          doing.input = input;
        })
        .catch((error: unknown) => failed(world.name, String((error as Error).stack ?? error), doing.input));
      if (performance.now() - began > 40 * LONGEST_MS) failed(world.name, "it hangs", doing.input);
    }
    counts.set(world.name, (counts.get(world.name) ?? 0) + 50);
  }
  if (round % 20 !== 0) continue;
  Bun.gc(true);
  const resident = process.memoryUsage.rss();
  floor ||= resident;
  if (resident - floor > MOST_GROWN_BYTES) {
    failed("all", `memory grows: ${floor} to ${resident} bytes`, `${tried} inputs`);
  }
}
const lived = [...counts].map(([name, count]) => `${count} ${name}`).join(", ");
console.log(`${tried} inputs to ${Object.keys(READERS).length} readers, ${lived}, seed ${seed}: no fault`);
process.exit(0);
