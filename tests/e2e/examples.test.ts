import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { Browser, Page } from "playwright-core";
import echoConfig from "../../examples/laravel-echo/trunkline.json";
import { freePort } from "../../src/process/ports.ts";
import { openBrowser } from "../helpers/browser.ts";
import { exampleFolder, startExample, step } from "../helpers/examples.ts";
import { startInstance } from "../helpers/instances.ts";
import { until } from "../helpers/until.ts";

/*
 * The examples for browsers, each started as its README says and used in Chromium. React comes from npm, into the example's
 * own folder; what the others need is there anyhow.
 */

const REACT = exampleFolder("react-hono");

let browser: Browser;
let built: Promise<void>;
const complaints: string[] = [];

beforeAll(async () => {
  built = buildReact();
  browser = await openBrowser();
}, 60_000);

afterAll(async () => {
  await browser?.close();
});

/** React's own build for development: strict mode mounts twice there alone. */
async function buildReact(): Promise<void> {
  const vite = join(REACT, "node_modules/.bin/vite");
  if (!existsSync(vite)) await step(REACT, ["npm", "ci", "--prefer-offline", "--ignore-scripts"]);
  await step(REACT, [process.execPath, "--bun", vite, "build"], { NODE_ENV: "development" });
}

async function open(url: string): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(10_000);
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(url);
  return page;
}

test.concurrent("cursors: one page sees another's pointer, and sees it go", async () => {
  await using example = await startExample("cursors");
  const [one, two] = await Promise.all([open(example.url), open(example.url)]);
  const moved = (async () => {
    // A move before the page has subscribed is gone: go on until it is seen.
    for (let x = 100; (await two.locator(".cursor").count()) === 0; x += 10)
      await one.mouse.move(x % 600, 100);
  })();
  await two.locator(".cursor").waitFor();
  await moved;
  await one.mouse.move(321, 123);
  await until(async () => (await two.locator(".cursor").getAttribute("style"))?.includes("321px 123px"));
  expect(await one.locator(".cursor").count()).toBe(0);
  await one.close();
  await two.locator(".cursor").waitFor({ state: "detached" });
}, 30_000);

test.concurrent("ticker: a page gets few of many prices, and the newest of each", async () => {
  await using example = await startExample("ticker");
  const page = await open(example.url);
  const feed = async () => (await (await fetch(`${example.url}/feed`)).json()) as { published: number };
  const from = await feed();
  await until(async () => (await feed()).published > from.published + 500, { timeoutMs: 20_000 });
  const received = Number(await page.locator("#received").textContent());
  const { published } = await feed();
  expect(received).toBeGreaterThan(10);
  expect(received).toBeLessThan((published - from.published) / 2);
  expect(await page.locator("[data-symbol]").count()).toBe(5);
}, 30_000);

test.concurrent("Laravel Echo: a private channel, its event, and a refusal", async () => {
  await using gateway = await startInstance({ command: "dev", config: echoConfig });
  await using example = await startExample("laravel-echo", { env: { GATEWAY: gateway.url } });
  const page = await open(`${example.url}/?order=7`);
  await page.getByText("following order 7").waitFor();
  const shipped = await fetch(`${example.url}/orders/7/ship`, { method: "POST" });
  expect(shipped.status).toBe(204);
  await page.locator("#events li", { hasText: "shipped" }).waitFor();
  const other = await open(`${example.url}/?order=0`);
  await other.getByText("refused").waitFor();
}, 30_000);

test.concurrent("React and Hono: tokens, strict mode, who missed nothing, and a gap that cannot be filled", async () => {
  await built;
  const env = { PORT: String(await freePort()), SECRET: "a-secret-of-more-than-thirty-two-characters" };
  await using stack = new AsyncDisposableStack();
  const first = await startExample("react-hono", { env });
  expect((await fetch(`${first.url}/token`)).status).toBe(403);
  const [ann, bob] = await Promise.all([open(first.url), open(first.url)]);
  const enter = async (page: Page, name: string) => {
    await page.getByLabel("Your name").fill(name);
    await page.getByRole("button", { name: "Enter" }).click();
    await page.getByLabel("Message").waitFor();
    await page.getByRole("status").waitFor({ state: "detached" });
  };
  const say = async (page: Page, text: string) => {
    await page.getByLabel("Message").fill(text);
    await page.getByRole("button", { name: "Send" }).click();
    await page.locator("li", { hasText: text }).waitFor();
  };
  await enter(ann, "ann");
  await say(ann, "before bob came");
  await enter(bob, "bob");
  await bob.getByText("before bob came").waitFor();
  await say(bob, "hello ann");
  await ann.locator("li", { hasText: "hello ann" }).waitFor();
  expect(await ann.locator("li").allTextContents()).toEqual(["ann before bob came", "bob hello ann"]);

  // Another process has nothing of this one's memory: the page is told, and begins anew.
  await first[Symbol.asyncDispose]();
  await ann.getByText("Reconnecting").waitFor();
  stack.use(await startExample("react-hono", { env }));
  for (const page of [ann, bob]) await page.getByText("Reconnecting").waitFor({ state: "detached" });
  await say(ann, "back again");
  await bob.locator("li", { hasText: "back again" }).waitFor();
  expect(await bob.locator("li").allTextContents()).toEqual(["ann back again"]);
  expect(complaints).toEqual([]);
}, 60_000);
