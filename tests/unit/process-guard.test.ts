import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { until } from "../helpers/until.ts";

const CHILDREN = fileURLToPath(new URL("../../src/process/children.ts", import.meta.url));

/** Neither gone nor dead and waiting for whoever inherited it. */
function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

test("a process killed without warning takes the ones it has started with it, and only those", async () => {
  const script = `
    import { Children } from ${JSON.stringify(CHILDREN)};
    const children = new Children();
    const start = () => children.start({ role: "server", command: "sleep", args: ["60"] });
    const [kept, ended, other] = [start(), start(), start()];
    await ended.stop();
    console.log(JSON.stringify([kept, other].map((child) => child.process.pid)));
    setInterval(() => {}, 1000);
  `;
  await using parent = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
  let text = "";
  for await (const chunk of parent.stdout) {
    text += new TextDecoder().decode(chunk);
    if (text.includes("\n")) break;
  }
  const pids = JSON.parse(text) as number[];
  expect(pids.every(isAlive)).toBe(true);
  parent.kill("SIGKILL");
  await until(() => !pids.some(isAlive), { what: "the children to be gone" });
});
