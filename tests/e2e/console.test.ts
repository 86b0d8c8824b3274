import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { flaws } from "../helpers/axe.ts";
import { openBrowser } from "../helpers/browser.ts";
import { type TestClient, testClient } from "../helpers/clients.ts";
import { button, DARK, DESKTOP, dialog, heading, PAGES, PHONE, row, said } from "../helpers/console-pages.ts";
import { consoleWorld } from "../helpers/console-world.ts";
import type { TestInstance } from "../helpers/instances.ts";
import type { TestServer } from "../helpers/servers.ts";
import { traffic } from "../helpers/traffic.ts";
import { until } from "../helpers/until.ts";

/** The console in a real browser, on real parts: two instances in two regions, and every act on them. */

const ALL = "secret-of-ann-0123456789";
const LOOKS = "secret-of-ben-0123456789";
const TOKENS = `ann:look+act+payloads:${ALL},ben:look:${LOOKS}`;

const stack = new AsyncDisposableStack();
const complaints: string[] = [];
/** What the endpoint of webhooks has taken. */
const told: Record<string, unknown>[] = [];
let refuses = (_event: Record<string, unknown>) => false;
let browser: Browser;
let nats: TestServer;
let redis: TestServer;
let here: TestInstance;
let there: TestInstance;
let shots: string;

beforeAll(async () => {
  shots = process.env.TRUNKLINE_SCREENSHOTS ?? (await mkdtemp(join(tmpdir(), "trunkline-console-")));
  browser = await openBrowser();
  ({ nats, redis, here, there } = await consoleWorld(stack, TOKENS, told, (event) => refuses(event)));
}, 60_000);

afterAll(async () => {
  await browser?.close();
  await stack.disposeAsync();
  if (!process.env.TRUNKLINE_SCREENSHOTS) await rm(shots, { recursive: true, force: true });
});

afterEach(async () => {
  await Promise.all(browser.contexts().map((context) => context.close()));
});

async function newPage(options: BrowserContextOptions = DESKTOP): Promise<Page> {
  const page = await (await browser.newContext(options)).newPage();
  page.setDefaultTimeout(10_000);
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  return page;
}

/** Signs in as a person would. */
async function signedIn(secret: string, options?: BrowserContextOptions): Promise<Page> {
  const page = await newPage(options);
  await page.goto(`${here.url}/console`);
  await page.getByLabel("Your token").fill(secret);
  await page.keyboard.press("Enter");
  await heading(page, "Overview");
  return page;
}

async function open(page: Page, path: keyof typeof PAGES): Promise<void> {
  await page.goto(`${here.url}/console/#/${path}`);
  await heading(page, PAGES[path]);
  await page.locator("main > :nth-child(2)").first().waitFor();
}

async function shoot(page: Page, name: string): Promise<void> {
  if (!process.env.TRUNKLINE_SCREENSHOTS) return;
  const path = join(shots, `console-${name}.png`);
  await page.screenshot({ path, animations: "disabled", fullPage: true });
}

async function connected(at: TestInstance, user: string): Promise<TestClient & { readonly id: string }> {
  const client = stack.use(testClient(at.websocket, { user }));
  const { client: id } = await client.connected();
  return Object.assign(client, { id });
}

const ANN = { by: "ann", via: "console" };

const audited = (action: string, more: object = {}) =>
  until(
    () =>
      told.find(
        (event) =>
          event.type === "audit" &&
          event.action === action &&
          Object.entries({ ...ANN, ...more }).every(([key, value]) => event[key] === value),
      ),
    { what: `the audit of ${action}` },
  );

describe("the console", () => {
  test("asks for a token, and shows both regions to who has one", async () => {
    const page = await newPage();
    await page.goto(`${here.url}/console`);
    await page.getByLabel("Your token").fill("a-wrong-secret-0123456789");
    await button(page, "Sign in").click();
    await page.getByText("Nobody has this token.").waitFor();
    expect(complaints.splice(0)).toEqual([expect.stringContaining("401")]);
    await page.getByLabel("Your token").fill(LOOKS);
    await page.keyboard.press("Enter");
    await heading(page, "Overview");
    for (const [region, instance] of [
      ["fra", "fra-1"],
      ["iad", "iad-1"],
    ] as const) {
      await page.getByRole("heading", { level: 2, name: region }).waitFor();
      expect(await row(page, instance).textContent()).toContain("ready");
    }
    await connected(there, "u0");
    await row(page, "iad-1").filter({ hasText: "1 < 1 %" }).waitFor();
    await button(page, "Sign out").click();
    await page.getByLabel("Your token").waitFor();
    expect(await page.evaluate(() => sessionStorage.length)).toBe(0);
    const policy = (await fetch(`${here.url}/console/`)).headers;
    expect(policy.get("cache-control")).toBe("no-store");
    expect(policy.get("content-security-policy")).toContain("script-src 'self'");
  }, 30_000);

  test("who may only look has no button that acts, and is not shown what is in messages", async () => {
    await here.api("publish", { channel: "chat:room.1", data: { hidden: "payload" } });
    const page = await signedIn(LOOKS);
    await open(page, "channels?channel=chat%3Aroom.1");
    await row(page, "a service").waitFor();
    for (const name of ["Publish", "Remove history", "Show messages (audited)"]) {
      expect(await button(page, name).count()).toBe(0);
    }
    expect(await page.locator("main").textContent()).not.toContain("hidden");
    await open(page, "users?user=u1&channel=chat%3Aroom.1");
    expect(await button(page, "Block").count()).toBe(0);
  }, 30_000);

  test("connections of an instance are moved, after a question, and told of in the audit", async () => {
    const client = await connected(there, "u6");
    const back = new Promise((resolve) =>
      client.centrifuge.once("connected", ({ client }) => resolve(client)),
    );
    const page = await signedIn(ALL);
    await button(page, "Move connections of iad-1").click();
    await dialog(page).getByLabel("How many").selectOption("1");
    await dialog(page).getByRole("button", { name: "Cancel" }).click();
    await button(page, "Move connections of iad-1").click();
    await dialog(page).getByLabel("How many").selectOption("1");
    await dialog(page).getByRole("button", { name: "Move" }).click();
    await said(page, "iad-1 lets");
    await audited("asked", { kind: "connections", target: "iad-1", share: 1 });
    expect(await back).not.toBe(client.id);
  }, 30_000);

  test("a channel's messages are there as they come, without being read again", async () => {
    const client = await connected(there, "u8");
    await client.subscribe("chat:room.live");
    await here.api("publish", { channel: "chat:room.live", data: { n: 1 } });
    const page = await signedIn(ALL);
    await page.goto(`${here.url}/console/#/channels?channel=chat%3Aroom.live`);
    await button(page, "Show messages (audited)").click();
    await row(page, '{"n":1}').waitFor();
    await page.getByText("the newest 1, live").waitFor();
    // From now on nothing is read: what is shown must have come by itself.
    await page.route("**/api/history", (route) => route.abort());
    await here.api("publish", { channel: "chat:room.live", data: { n: 2 } });
    await row(page, '{"n":2}').waitFor();
    await page.getByText("the newest 2, live").waitFor();
  }, 30_000);

  test("channels: found, published to, read, and emptied", async () => {
    const client = await connected(there, "u1");
    const room = await client.subscribe("chat:room.1");
    const page = await signedIn(ALL);
    await page.getByRole("link", { name: "Channels" }).click();
    await page.getByLabel("Name of the channel").fill("room.1");
    await page.keyboard.press("Enter");
    await page.getByRole("link", { name: "chat:room.1", exact: true }).click();
    await heading(page, "chat:room.1");
    await row(page, "iad-1").waitFor();
    await row(page, "u1").first().waitFor();

    await page.getByLabel("Message, as JSON").fill("not json");
    await button(page, "Publish").click();
    await said(page, "Not done: The message is no JSON.");
    await page.getByLabel("Message, as JSON").fill('{"from":"ann"}');
    await page.getByLabel("Priority").selectOption("high");
    await button(page, "Publish").click();
    await said(page, "Published, at offset");
    await until(() => room.data().some((data) => (data as { from?: string }).from === "ann"));
    await audited("published", { target: "chat:room.1" });

    await button(page, "Show messages (audited)").click();
    await row(page, '{"from":"ann"}').waitFor();
    await audited("read", { kind: "history", target: "chat:room.1" });
    await button(page, "Remove history").click();
    await dialog(page).getByRole("button", { name: "Remove" }).click();
    await said(page, "The history is removed.");
    await page.getByText("Nothing is kept.").waitFor();
    await audited("removed", { kind: "history", target: "chat:room.1" });
  }, 30_000);

  test("users: why they get nothing, disconnected, blocked, revoked, and let in again", async () => {
    const client = await connected(there, "u7");
    await client.subscribe("chat:room.7");
    const page = await signedIn(ALL);
    await page.getByRole("link", { name: "Users" }).click();
    await page.getByLabel("Id of the user").fill("u7");
    await page.getByLabel("Gets nothing in channel").fill("chat:room.8");
    await button(page, "Look").click();
    await page.getByText("u7 is connected, and not subscribed to chat:room.8").waitFor();
    const { id } = client;
    await row(page, id).filter({ hasText: "iad-1 (iad)" }).waitFor();

    const gone = () =>
      until(() => client.centrifuge.state === "disconnected", { what: "the client to be gone" });
    await button(page, `Disconnect ${id}`).click();
    await said(page, "Disconnected.");
    await gone();
    await audited("disconnected", { target: "u7", client: id });

    await client.connected();
    await button(page, "Disconnect all").click();
    await dialog(page).getByRole("button", { name: "Disconnect" }).click();
    await said(page, "u7 is disconnected.");
    await gone();

    const taken = async (label: string, confirm: string, text: string) => {
      await button(page, label).click();
      await dialog(page).getByLabel("For", { exact: true }).selectOption("3600");
      await dialog(page).getByLabel("Reason").fill("of a test");
      await dialog(page).getByRole("button", { name: confirm }).click();
      await said(page, text);
    };
    await taken("Block", "Block", "u7 is blocked.");
    await row(page, "user u7 blocked").waitFor();
    await audited("restricted", { kind: "user", user: "u7", reason: "of a test" });
    await taken("Revoke tokens", "Revoke", "The tokens of u7 are revoked.");
    await audited("restricted", { kind: "issued", user: "u7" });
    await taken("Take chat:room.8 away", "Take away", "u7 has no right to chat:room.8 now.");
    await audited("restricted", { kind: "channel", user: "u7", channel: "chat:room.8" });

    for (const what of ["user u7 blocked", "tokens of u7", "right of u7"]) {
      await page.getByRole("button", { name: new RegExp(`^Lift: ${what}`) }).click();
      await dialog(page).getByRole("button", { name: "Lift" }).click();
      await row(page, what).waitFor({ state: "detached" });
    }
    await audited("lifted", { kind: "user", user: "u7" });
    await client.connected();

    await open(page, "users");
    await page.getByLabel("Block an address").fill("198.51.100.0/24");
    await button(page, "Block").click();
    await dialog(page).getByRole("button", { name: "Block" }).click();
    await row(page, "address 198.51.100.0/24 blocked").waitFor();
  }, 40_000);

  test("errors, streams and settings: by code, with lives, without secrets", async () => {
    const client = await connected(here, "u2");
    await client.subscribe("nowhere:x").catch(() => {});
    const page = await signedIn(ALL);
    await open(page, "errors");
    await row(page, "102 unknown channel").first().waitFor();
    await row(page, "nowhere:x").first().waitFor();
    await open(page, "streams");
    await row(page, "RT_chat").first().waitFor();
    await open(page, "settings");
    await row(page, "instanceId").filter({ hasText: "fra-1" }).waitFor();
    await page.getByLabel("Without defaults").uncheck();
    await page.getByLabel("Part of the name").fill("console.tokens");
    await row(page, "console.tokens").filter({ hasText: "***" }).waitFor();
    const shown = await page.locator("main").textContent();
    for (const secret of [ALL, LOOKS]) expect(shown).not.toContain(secret);
  }, 30_000);

  test("webhooks: what an endpoint refused is shown, and sent again", async () => {
    refuses = ({ type, target }) => type === "audit" && target === "chat:refused";
    const page = await signedIn(ALL);
    await open(page, "channels?channel=chat%3Aroom.1");
    await page.goto(`${here.url}/console/#/channels?channel=chat%3Arefused`);
    await page.getByLabel("Message, as JSON").fill("1");
    await button(page, "Publish").click();
    await said(page, "Published");
    await connected(here, "u3");
    await open(page, "webhooks");
    await row(page, "billing").filter({ hasText: "Show" }).waitFor({ timeout: 15_000 });
    await page.getByRole("link", { name: "Show what events.endpoint.billing has set aside" }).click();
    await row(page, "chat:refused").waitFor();
    await shoot(page, "webhooks");
    refuses = () => false;
    await button(page, /^Replay (?!all)/).click();
    await dialog(page).getByRole("button", { name: "Replay" }).click();
    await said(page, "Put back: 1.");
    await audited("published", { target: "chat:refused" });
    await audited("replayed", { kind: "webhook", target: "events.endpoint.billing" });
  }, 40_000);

  test("a trace shows what happens to a user on another instance, and messages to who may read them", async () => {
    const client = await connected(there, "u5");
    await client.subscribe("chat:room.5");
    const page = await signedIn(ALL);
    await open(page, "trace");
    await page.getByLabel("User").fill("u5");
    await page.getByLabel("Channel").fill("chat:room.5");
    await page.getByLabel("With messages").check();
    await button(page, "Look").click();
    await page.getByText("on 2 instances").waitFor();
    await here.api("publish", { channel: "chat:room.5", data: { traced: 1 } });
    await row(page, "delivered")
      .filter({ hasText: '{"traced":1}' })
      .filter({ hasText: "iad-1 (iad)" })
      .waitFor();
    await audited("traced", { kind: "trace", user: "u5", channel: "chat:room.5", payloads: true });
    await shoot(page, "trace");
    await button(page, "Stop").click();
    await page.getByRole("heading", { name: "Ended" }).waitFor();
  }, 30_000);

  test("by keyboard alone: in, to a page, and out", async () => {
    const page = await newPage();
    await page.goto(`${here.url}/console`);
    await page.getByLabel("Your token").waitFor();
    await page.keyboard.type(ALL);
    await page.keyboard.press("Enter");
    await heading(page, "Overview");
    const reach = async (name: string) => {
      await until(
        async () => {
          await page.keyboard.press("Tab");
          return (await page.evaluate(() => document.activeElement?.textContent)) === name;
        },
        { what: `the focus on ${name}` },
      );
      await page.keyboard.press("Enter");
    };
    await reach("Users");
    await heading(page, "Users");
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("main");
    await page.keyboard.press("Shift+Tab");
    await page.evaluate(() => (document.activeElement as HTMLElement).blur());
    await reach("Sign out");
    await page.getByLabel("Your token").waitFor();
  }, 30_000);

  for (const [name, options] of Object.entries({
    dark: DARK,
    phone: PHONE,
    ...(process.env.TRUNKLINE_SCREENSHOTS && { desktop: DESKTOP }),
  })) {
    test(`has nothing that axe finds, and fits: ${name}`, async () => {
      const page = await signedIn(ALL, { ...options, bypassCSP: true });
      for (const path of Object.keys(PAGES) as (keyof typeof PAGES)[]) {
        await open(page, path);
        expect([path, await flaws(page)]).toEqual([path, []]);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        expect([path, wide <= options.viewport.width]).toEqual([path, true]);
        if (path === "overview" && process.env.TRUNKLINE_SCREENSHOTS) await traffic(here, there);
        await shoot(page, `${path.replace(/\?.*/, "-one")}-${name}`);
      }
      await button(page, "Sign out").click();
      await page.getByLabel("Your token").waitFor();
      expect(await flaws(page)).toEqual([]);
    }, 120_000);
  }

  test("says what is away: an instance, Redis, NATS", async () => {
    const page = await signedIn(ALL);
    const state = page.getByRole("status").first();
    there.signal("SIGSTOP");
    await page.getByText("Not everybody has answered: iad-1 (iad)").waitFor();
    there.signal("SIGCONT");
    await page.getByText("Not everybody has answered").waitFor({ state: "detached" });
    await redis.kill();
    await state.getByText("Redis does not answer").waitFor({ timeout: 20_000 });
    await nats.kill();
    await state.getByText("NATS is away").waitFor({ timeout: 20_000 });
    await open(page, "streams");
    await page.getByRole("alert").waitFor();
    await here.kill();
    await page.goto(`${here.url}/console/#/overview`);
    await state.getByText("no answer").waitFor({ timeout: 20_000 });
  }, 60_000);

  test("nothing was said on any console, but that who is gone does not answer", () => {
    expect(complaints.filter((text) => !text.includes("ERR_CONNECTION_REFUSED"))).toEqual([]);
  });
});
