import { describe, expect, test } from "bun:test";
import { checkMachine, type Machine, type MachineNeeds } from "../../src/cli/doctor/machine.ts";

const KERNEL: Readonly<Record<string, string>> = {
  "net.core.somaxconn": "4096",
  "net.ipv4.ip_local_port_range": "32768\t60999",
  "net.ipv4.ip_local_reserved_ports": "",
};

interface World {
  readonly version?: string;
  readonly name?: "bun" | "deno";
  readonly descriptors?: number | undefined;
  readonly kernel?: Readonly<Record<string, string>>;
  readonly listen?: string;
  readonly now?: string;
  readonly settings?: MachineNeeds["settings"];
}

const SETTINGS = { host: "0.0.0.0", port: 8080, connections: 0, bare: true };

/** The finding of one check on a machine that is well but for what is given; `undefined` when there is none. */
async function found(check: string, world: World = {}) {
  const { name = "bun", version = "1.4.5", now = "2026-11-21T00:00:00Z", settings = SETTINGS } = world;
  const descriptors = "descriptors" in world ? world.descriptors : 1_048_576;
  const machine: Machine = {
    runtime: async () => ({
      ...{ name, version, descriptorLimit: () => descriptors },
      needsProxy: name === "deno" ? "it keeps what says nothing" : undefined,
    }),
    sysctl: (key) => (world.kernel ?? KERNEL)[key],
    listen: async () => world.listen,
    now: () => Date.parse(now),
  };
  const findings = await checkMachine(machine, { bun: "1.4.5", settings });
  return findings.find((finding) => finding.check === check);
}

test("a machine that is well gets no advice", async () => {
  for (const check of ["runtime", "clock", "descriptors", "port", ...Object.keys(KERNEL).slice(0, 2)]) {
    expect(await found(check)).toMatchObject({ verdict: "ok" });
  }
});

test("runtime: an old Bun fails, Deno of any version does not, anything else does", async () => {
  expect(await found("runtime", { version: "1.4.4" })).toMatchObject({
    verdict: "failed",
    fix: "bun upgrade",
  });
  expect(await found("runtime", { version: "1.4.10" })).toMatchObject({ verdict: "ok" });
  expect(await found("runtime", { name: "deno", version: "0.1.0" })).toMatchObject({ verdict: "ok" });
  const none: Machine = {
    runtime: () => Promise.reject(new Error("Trunkline runs on Bun or Deno")),
    sysctl: () => undefined,
    listen: async () => undefined,
    now: Date.now,
  };
  const [runtime, ...rest] = await checkMachine(none, { bun: "1.4.5" });
  expect(runtime).toEqual({ check: "runtime", verdict: "failed", what: "Trunkline runs on Bun or Deno" });
  expect(rest.map(({ check }) => check)).toEqual(["clock"]);
});

test("proxy: advised where the runtime needs one, strangers may come, and none is trusted", async () => {
  expect(await found("proxy", { name: "deno" })).toMatchObject({
    ...{ verdict: "warning", cause: "it keeps what says nothing" },
  });
  expect(await found("proxy", { name: "deno", settings: { ...SETTINGS, bare: false } })).toBeUndefined();
  expect(await found("proxy")).toBeUndefined();
});

test.each(["1970-01-01T00:03:00Z", "2025-12-31T23:59:59Z", "2150-01-01T00:00:00Z"])(
  "clock: %s was never set",
  async (now) => {
    expect(await found("clock", { now })).toMatchObject({
      verdict: "failed",
      fix: expect.stringContaining("timedatectl"),
    });
  },
);

describe("descriptors", () => {
  const cases: [limit: number | undefined, configured: number, verdict: string, what: string][] = [
    [1_024, 0, "warning", "room for 768 connections"],
    [20_000, 0, "ok", "room for 19,000 connections (limit 20,000)"],
    [20_000, 500, "ok", "room for 500 connections (limit 20,000)"],
    [1_024, 500, "ok", "room for 500 connections (limit 1,024)"],
    [20_000, 19_001, "failed", "room for 19,000 connections"],
    [Number.POSITIVE_INFINITY, 0, "ok", "room for unlimited connections (limit unlimited)"],
    [undefined, 0, "warning", "the limit cannot be read; the instance takes 768 connections"],
  ];
  test.each(cases)("limit %p, configured %p: %s", async (descriptors, connections, verdict, what) => {
    const finding = await found("descriptors", { descriptors, settings: { ...SETTINGS, connections } });
    expect(finding).toMatchObject({ verdict, what });
    if (verdict !== "ok") expect(finding?.fix).toMatch(/^ulimit -n 1048576\nsystemd: LimitNOFILE=1048576/);
  });

  test("what it says to type is enough", async () => {
    const settings = { ...SETTINGS, connections: 3_000_000 };
    const finding = await found("descriptors", { descriptors: 1_024, settings });
    const descriptors = Number(/ulimit -n (\d+)/.exec(finding!.fix!)![1]);
    expect(await found("descriptors", { descriptors, settings })).toMatchObject({ verdict: "ok" });
    expect(await found("descriptors", { descriptors: descriptors - 2, settings })).toMatchObject({
      verdict: "failed",
    });
  });
});

describe("kernel", () => {
  const RANGE = "net.ipv4.ip_local_port_range";
  const RESERVED = "net.ipv4.ip_local_reserved_ports";

  test("a short queue of connections to accept", async () => {
    const kernel = { ...KERNEL, "net.core.somaxconn": "128" };
    expect(await found("net.core.somaxconn", { kernel })).toMatchObject({
      verdict: "warning",
      fix: "sudo sysctl -w net.core.somaxconn=4096",
    });
  });

  test("few ports, or the instance's own among them, unless it is reserved", async () => {
    expect(await found(RANGE, { kernel: { ...KERNEL, [RANGE]: "60000 60999" } })).toMatchObject({
      verdict: "warning",
      fix: expect.stringContaining("ip_local_port_range="),
    });
    const settings = { ...SETTINGS, port: 40_000 };
    expect(await found(RANGE, { settings })).toMatchObject({
      verdict: "warning",
      fix: "sudo sysctl -w net.ipv4.ip_local_reserved_ports=40000",
    });
    for (const ports of ["40000", "1,39999-40001"]) {
      const kernel = { ...KERNEL, [RESERVED]: ports };
      expect(await found(RANGE, { settings, kernel })).toMatchObject({ verdict: "ok" });
    }
  });

  test("is not spoken of where it is another one", async () => {
    expect(await found(RANGE, { kernel: {} })).toBeUndefined();
    expect(await found("net.core.somaxconn", { kernel: {} })).toBeUndefined();
  });
});

test.each([
  ["EADDRINUSE", "[::]:443 is taken", "ss -ltnp 'sport = :443'"],
  ["EACCES", "[::]:443 is not allowed", "ip_unprivileged_port_start=443"],
  ["EADDRNOTAVAIL", "cannot listen on [::]:443 (EADDRNOTAVAIL)", "ip -brief address"],
] as const)("port: %s", async (listen, what, fix) => {
  const settings = { host: "::", port: 443, connections: 0, bare: false };
  expect(await found("port", { listen, settings })).toMatchObject({
    ...{ verdict: "failed", what },
    fix: expect.stringContaining(fix),
  });
});
