import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Subprocess } from "bun";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import type { Sample } from "../../src/world/watch.ts";
import { openBrowser } from "../helpers/browser.ts";
import { processesOf } from "../helpers/leftovers.ts";
import { until } from "../helpers/until.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const DESKTOP = { viewport: { width: 1280, height: 800 }, colorScheme: "light" } as const;
const PHONE = {
  viewport: { width: 375, height: 667 },
  isMobile: true,
  hasTouch: true,
  colorScheme: "dark",
} as const;

interface Line {
  readonly page?: string;
  readonly sample?: Sample;
  readonly event?: { readonly what: string; readonly name: string; readonly state: string };
}

/** What pages said on their consoles and what they threw, but for sockets that lead to a dead region. */
const complaints: string[] = [];
/** Everything the command makes lies in here. */
const folder = mkdtempSync(join(tmpdir(), "trunkline-tests-"));
const lines: Line[] = [];
let command: Subprocess<"ignore", "pipe", "inherit">;
let browser: Browser;
let pageUrl: string;

beforeAll(async () => {
  command = Bun.spawn(
    [process.execPath, MAIN, "dev", "--regions", "iad,fra,sin", "--latency", "40", "--port", "0", "--json"],
    { stdin: "ignore", stdout: "pipe", stderr: "inherit", env: { ...process.env, TMPDIR: folder } },
  );
  void read(command.stdout);
  [browser, pageUrl] = await Promise.all([
    openBrowser(),
    until(() => lines.find(({ page }) => page)?.page, { what: "the world's page", timeoutMs: 45_000 }),
  ]);
}, 60_000);

afterAll(async () => {
  await browser?.close();
  command?.kill("SIGKILL");
  await command?.exited;
  rmSync(folder, { recursive: true, force: true });
});

async function read(output: ReadableStream<Uint8Array>): Promise<void> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of output) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) lines.push(JSON.parse(part) as Line);
  }
}

const sample = () => lines.findLast((line) => line.sample)?.sample;

async function openPage(options: BrowserContextOptions = DESKTOP): Promise<Page> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.on("console", (message) => {
    if (!message.text().startsWith("WebSocket connection to")) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(pageUrl);
  return page;
}

const number = async (page: Page, id: string) => Number(await page.textContent(`#${id}`));
/** Clients of a home region, by where they are connected. */
const placesOf = (page: Page, home: string) =>
  page
    .locator(`.client[data-client^="${home}-"][data-connected="true"]`)
    .evaluateAll((dots) => dots.map((dot) => (dot as HTMLElement).dataset.region));
const stateOf = (page: Page, region: string) =>
  page.locator(`#regions [data-region="${region}"] .region-state`);

describe("the page of a world", () => {
  test("shows messages that travel between all regions, and how long they take", async () => {
    const page = await openPage();
    await page.waitForFunction(() => document.querySelector(".message"));
    await until(async () => (await number(page, "delivered")) >= 18, {
      what: "three messages at six clients",
    });
    expect(await page.locator(".client").count()).toBe(6);
    expect(await page.textContent("#state-text")).toBe("3 of 3 regions up");
    await until(
      async () => {
        const cells = await page.locator("#links :is(.there, .back)").allTextContents();
        return cells.length === 6 && cells.every((cell) => Number.parseFloat(cell) >= 18);
      },
      { what: "a latency of at least one way for each pair" },
    );
    expect(await number(page, "duplicates")).toBe(0);
    await until(
      () =>
        (sample()?.regions.reduce((sum, { instances }) => sum + (instances[0]?.connections ?? 0), 0) ?? 0) ===
        6,
      {
        what: "six connections in the lines of the command",
      },
    );
    await page.context().close();
  }, 30_000);

  test("kills a region: its clients move to the next one, miss nothing, and come home when it is healed", async () => {
    const page = await openPage();
    await until(async () => (await number(page, "delivered")) >= 6, { what: "a message at six clients" });
    const fra = page.locator('#regions [data-region="fra"]');
    await fra.getByRole("button", { name: "Kill the region" }).click();
    await until(async () => (await stateOf(page, "fra").textContent()) === "down", {
      what: "fra to be down",
    });
    expect(await page.textContent("#state-text")).toBe("2 of 3 regions up");
    expect(sample()!.regions.find(({ name }) => name === "fra")!.instances[0]!.alive).toBe(false);
    await until(
      async () => {
        const places = await placesOf(page, "fra");
        return places.length === 2 && places.every((place) => place === "iad" || place === "sin");
      },
      { what: "clients of fra in another region" },
    );
    const before = await number(page, "published");
    await until(async () => (await number(page, "published")) >= before + 3, { what: "the talk to go on" });

    await fra.getByRole("button", { name: "Heal the region" }).click();
    await until(async () => (await stateOf(page, "fra").textContent()) === "up", {
      what: "fra to be up",
      timeoutMs: 20_000,
    });
    await until(async () => String(await placesOf(page, "fra")) === "fra,fra", {
      what: "clients to be home",
    });
    await page.getByRole("button", { name: "Pause the talk" }).click();
    await until(
      async () =>
        (await number(page, "delivered")) === 6 * (await number(page, "published")) &&
        (await number(page, "missing")) === 0,
      { what: "every message at every client", timeoutMs: 20_000 },
    );
    expect(await number(page, "duplicates")).toBe(0);
    await page.context().close();
  }, 60_000);

  test("cuts a link and heals it, by keyboard, on a phone", async () => {
    const page = await openPage(PHONE);
    const row = page.locator('#links [data-pair="fra-sin"], #links [data-pair="sin-fra"]');
    await row.getByRole("button", { name: "Cut the link between fra and sin" }).focus();
    await page.keyboard.press("Enter");
    await until(async () => (await row.locator(".traffic").textContent()) === "cut", {
      what: "the link to be cut",
    });
    expect(await page.locator('.link[data-state="cut"]').count()).toBe(1);
    await row.getByRole("button", { name: "Heal the link between fra and sin" }).press("Enter");
    await until(async () => (await row.getAttribute("data-state")) === "open", {
      what: "the link to be open",
    });
    await page.context().close();
  }, 30_000);

  test("fits every screen, and scrolls in no direction but down", async () => {
    for (const width of [320, 390, 414, 768, 1280]) {
      const page = await openPage({ viewport: { width, height: 800 }, isMobile: width < 500 });
      await until(async () => (await page.textContent("#state-text"))?.includes("3 of 3 regions up"));
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      expect([width, wide]).toEqual([width, width]);
      await page.context().close();
    }
  }, 30_000);

  test("complains of nothing", () => {
    expect(complaints).toEqual([]);
  });
});

describe("the control API", () => {
  const api = () => pageUrl.replace("/console/world", "/console/world/api");
  const ask = (path: string, init: RequestInit & { headers?: Record<string, string> } = {}) =>
    fetch(`${api()}/${path}`, { ...init, redirect: "manual" });

  test("does nothing for other pages, names or secrets", async () => {
    const { origin, host } = new URL(pageUrl);
    const { secret } = (await (await ask("world")).json()) as { secret: string };
    const kill = (headers: Record<string, string>) => ask("regions/sin/kill", { method: "POST", headers });
    expect((await kill({})).status).toBe(403);
    expect((await kill({ "x-world-secret": secret })).status).toBe(403);
    expect((await kill({ origin })).status).toBe(403);
    expect((await kill({ origin, "x-world-secret": `${secret}0` })).status).toBe(403);
    expect((await kill({ origin: "http://evil.example", "x-world-secret": secret })).status).toBe(403);
    expect((await kill({ origin: "null", "x-world-secret": secret })).status).toBe(403);
    // A name of somebody else's that leads here.
    expect(
      (await ask("world", { headers: { host: host.replace("127.0.0.1", "evil.example") } })).status,
    ).toBe(421);
    expect((await ask("world", { headers: { origin: "http://evil.example" } })).status).toBe(403);
    expect(
      (await ask("regions/nowhere/kill", { method: "POST", headers: { origin, "x-world-secret": secret } }))
        .status,
    ).toBe(404);
    expect(
      (await ask("regions/sin/destroy", { method: "POST", headers: { origin, "x-world-secret": secret } }))
        .status,
    ).toBe(404);
    expect(sample()!.regions.map(({ state }) => state)).toEqual(["up", "up", "up"]);
  });
});

test("Ctrl+C ends it all, with exit code 0 and nothing left", async () => {
  expect(processesOf(folder).length).toBeGreaterThanOrEqual(8);
  command.kill("SIGINT");
  expect(await command.exited).toBe(0);
  expect(processesOf(folder)).toEqual([]);
  expect(readdirSync(folder).filter((name) => name.startsWith("trunkline-"))).toEqual([]);
}, 20_000);

test("flags with mistakes are refused with what they take", async () => {
  const cases = [
    [["--regions", "1"], "a world needs 2 to 8 different regions"],
    [["--regions", "iad,atlantis"], 'there is no region "atlantis"; choose from iad, fra, sin'],
    [
      ["--regions", "3", "--latency", "soon"],
      "--latency: it must be a whole number from 0 to 60000 or real or off",
    ],
    [["--regions", "3", "--instances", "0"], "--instances: it must be a whole number from 1 to 20"],
    [["--instances", "2"], "--instances goes with --regions"],
  ] as const;
  await Promise.all(
    cases.map(async ([flags, problem]) => {
      const refused = Bun.spawn([process.execPath, MAIN, "dev", ...flags], { stderr: "pipe" });
      expect(await new Response(refused.stderr).text()).toContain(problem);
      expect(await refused.exited).toBe(1);
    }),
  );
});

test("ports that are taken are named before anything is started", async () => {
  using page = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  // The page's port is taken, and then that of the first instance.
  for (const [from, what] of [
    [page.port, "the page"],
    [page.port - 1, "instance iad-1"],
  ] as const) {
    const folder = mkdtempSync(join(tmpdir(), "trunkline-tests-"));
    const refused = Bun.spawn(
      [process.execPath, MAIN, "dev", "--regions", "iad,fra", "--port", `${from}`, "--json"],
      { stdout: "pipe", stderr: "pipe", env: { ...process.env, TMPDIR: folder } },
    );
    expect(await new Response(refused.stderr).text()).toContain(`${page.port} (${what})`);
    expect(await new Response(refused.stdout).text()).toBe("");
    expect(await refused.exited).toBe(1);
    expect(readdirSync(folder)).toEqual([]);
    rmSync(folder, { recursive: true, force: true });
  }
});
