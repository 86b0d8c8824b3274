import { expect, test } from "bun:test";
import process from "node:process";
import { random } from "../fuzz/inputs.ts";
import { httpWorld, redisWorld, signalWorld } from "../fuzz/worlds.ts";

/** A short share of `npm run fuzz`: always the same inputs. */
test.each([httpWorld, signalWorld, redisWorld])("%p bears whatever it is given", async (make) => {
  const uncaught: unknown[] = [];
  const note = (error: unknown) => uncaught.push(error);
  process.on("unhandledRejection", note);
  await using world = await make();
  const next = random(1);
  let input = "";
  const report = (one: string) => {
    input = one;
  };
  try {
    const steps = world.deep === undefined ? 300 : 60;
    for (let n = 0; n < steps; n++) await world.step(next, report);
  } catch (error) {
    throw new Error(`${world.name}: ${input}`, { cause: error });
  } finally {
    process.off("unhandledRejection", note);
  }
  expect(uncaught).toEqual([]);
  if (world.deep !== undefined) expect(world.deep).toBeGreaterThan(5);
});
