import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bench, MAIN, NOTHING_WRONG } from "../helpers/bench.ts";
import { until } from "../helpers/until.ts";

const NODE = Bun.which("node") ?? "";

describe("trunkline bench", () => {
  test("storm: the product recovers everybody without a loss, the control nobody", async () => {
    const { code, out } = await bench("storm", "-n", "50", "--rounds", "1", "--json");
    expect(code).toBe(0);
    const { targets } = JSON.parse(out);
    const figures = targets.map((target: { rounds: { figures: object }[] }) => target.rounds[0]!.figures);
    expect(figures[0]).toMatchObject({ joined: 50, lost: 500 });
    expect(figures[1]).toMatchObject({ ...NOTHING_WRONG, recovered: 50, unrecovered: 0, replayed: 500 });
  }, 30_000);

  test("idle: memory and rate of both, as a table", async () => {
    const { code, out } = await bench("idle", "-n", "300", "--rounds", "1", "--seconds", "1", "--inbox");
    expect(code).toBe(0);
    expect(out).toMatch(/idle: 300 clients with inboxes\n +plain Bun +trunkline *\n/);
    expect(out).toMatch(/^clients in +300 +300 *$/m);
    expect(out).toMatch(/^user memory per connection.* +[\d.]+ KB +[\d.]+ KB ×[\d.]+$/m);
  }, 30_000);

  test("peers are measured with it where they are installed, and drawn", async () => {
    const dir = await mkdtemp(join(tmpdir(), "trunkline-plot-"));
    try {
      const file = join(dir, "out.svg");
      const load = ["-n", "25", "--rate", "200", "--seconds", "1", "--rounds", "1"];
      const targets = ["--target", "bun,ws,socketio", "--plot", file];
      const { code, out } = await bench("rooms", ...load, ...targets);
      expect(code).toBe(0);
      if (existsSync(NODE)) expect(out).toMatch(/^ +plain Bun +ws on Node +Socket\.IO *$/m);
      expect(out).toMatch(/^publishes refused( +0)+ *$/m);
      expect(out).toMatch(/^lost( +0)+ *$/m);
      expect(readFileSync(file, "utf8")).toContain("rooms: 25 clients in rooms of 10");
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }, 30_000);

  test("regions: every pair, every link, and nothing lost", async () => {
    const { code, out } = await bench(
      "regions",
      "--regions",
      "iad,fra",
      "--rate",
      "20",
      "--seconds",
      "1",
      "--json",
    );
    expect(code).toBe(0);
    const { pairs, publishers, links, lost } = JSON.parse(out);
    expect(pairs).toHaveLength(4);
    const far = pairs.find(({ from, to }: { from: string; to: string }) => from === "iad" && to === "fra");
    // Half a round trip of 90 ms at least.
    for (const kind of ["delivered", "republished", "plain"]) expect(far[kind].p50).toBeWithin(44, 500);
    expect(publishers[1].ack.p50).toBeWithin(89, 1_000);
    const [{ bytes }] = links;
    expect(bytes[0]).toBeWithin(1_000, 1_600);
    expect(bytes[50]).toBeWithin(2_000, 3_200);
    expect(lost).toBe(0);
  }, 60_000);

  test("too many clients for one process are refused before anything is measured", async () => {
    const { code, out } = await bench("idle", "-n", "9000000", "-t", "bun", "--workers", "1");
    expect(code).toBe(1);
    expect(out).toContain("9000000 clients are too many");
  });

  test("interrupted, it leaves no process behind", async () => {
    const child = Bun.spawn([process.execPath, MAIN, "bench", "broadcast", "-n", "50", "--seconds", "60"], {
      stdout: "pipe",
      stderr: "pipe",
    });
    // What watches over them, the server and one worker.
    const started = await until(() => {
      const pids = childrenOf(child.pid);
      return pids.length === 3 ? pids : undefined;
    });
    child.kill("SIGINT");
    expect(await child.exited).toBe(130);
    await until(() => started.every((pid) => !isAlive(pid)), { what: "its children to be gone" });
  }, 15_000);
});

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
