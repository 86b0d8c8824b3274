import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Browser, Page } from "playwright-core";
import echoConfig from "../../examples/laravel-echo/trunkline.json";
import { freePort } from "../../src/process/ports.ts";
import { openBrowser } from "../helpers/browser.ts";
import { exampleFolder, startExample, step } from "../helpers/examples.ts";
import { startInstance } from "../helpers/instances.ts";
import { tutorialSteps } from "../helpers/tutorial.ts";
import { until } from "../helpers/until.ts";

/*
 * The examples for browsers, each started as its README says and used in Chromium. React comes from npm, into the example's
 * own folder; what the others need is there anyhow.
 */

const ROOT = join(import.meta.dir, "../..");
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
  page.setDefaultTimeout(20_000);
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
}, 60_000);

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
}, 60_000);

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
}, 60_000);

test.concurrent("docs/tutorial.md: every step of it works", async () => {
  await using folder = await appFolder();
  const steps = tutorialSteps();
  expect(steps.length).toBe(6);
  const start = async (step: number) => {
    for (const [name, text] of Object.entries(steps[step - 1]!))
      await Bun.write(join(folder.path, name), text);
    return await startExample(folder.path);
  };
  const say = async (page: Page, text: string) => {
    await page.locator("input").fill(text);
    await page.getByRole("button", { name: "Send" }).click();
  };
  const enter = async (url: string, name: string) => {
    const page = await open(`${url}/?name=${name}`);
    await page.locator("#state", { hasText: "connected" }).waitFor();
    return page;
  };
  {
    await using server = await start(2);
    const [ann, bob] = await Promise.all([enter(server.url, "ann"), enter(server.url, "bob")]);
    await say(ann, "hello");
    await bob.getByText("ann: hello").waitFor();
  }
  await using server = await start(5);
  const ann = await enter(server.url, "ann");
  await say(ann, "who is there?");
  await ann.getByText("ann: who is there?").waitFor();
  const bob = await enter(server.url, "bob");
  await bob.getByText("ann: who is there?").waitFor();
  for (const page of [ann, bob]) await until(async () => (await page.title()) === "Chat: ann, bob");
  expect((await fetch(`${server.url}/token`)).status).toBe(403);
  await Bun.write(join(folder.path, "chat.test.ts"), steps[5]!["chat.test.ts"]!);
  await step(folder.path, [process.execPath, "test", "./chat.test.ts"]);
}, 60_000);

/** A folder of somebody who has typed `npm install trunkline centrifuge bun`. */
async function appFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "trunkline-tutorial-"));
  await mkdir(join(path, "node_modules"));
  await writeFile(join(path, "package.json"), '{ "type": "module" }');
  await symlink(ROOT, join(path, "node_modules/trunkline"));
  for (const name of ["centrifuge", "@types"]) {
    await symlink(join(ROOT, "node_modules", name), join(path, "node_modules", name));
  }
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

test.concurrent("docs/quick-start.md: its page hears what its command publishes", async () => {
  await using gateway = await startInstance({
    command: "dev",
    env: { TRUNKLINE_API_KEYS: "a-key-of-the-test" },
  });
  const text = await Bun.file(join(ROOT, "docs/quick-start.md")).text();
  const [, html = ""] = /```html title="listen.html"\n([\s\S]*?)```/.exec(text)!;
  const [, command = ""] = /```\n(curl [\s\S]*?)```/.exec(text)!;
  const local = (part: string) => part.replaceAll("localhost:8080", new URL(gateway.url).host);
  await using server = Bun.serve({
    port: 0,
    fetch: () => new Response(local(html), { headers: { "Content-Type": "text/html" } }),
  });
  const page = await open(server.url.href);
  const env = { TRUNKLINE_API_KEYS: "a-key-of-the-test" };
  const heard = async () => (await page.locator("#newest").textContent()) === "hi";
  await until(async () => {
    await step(ROOT, ["sh", "-c", local(command)], env);
    return await heard();
  });
}, 60_000);

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
