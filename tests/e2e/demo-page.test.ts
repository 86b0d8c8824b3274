import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { flaws } from "../helpers/axe.ts";
import { openBrowser } from "../helpers/browser.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

const DESKTOP = { viewport: { width: 1280, height: 800 }, colorScheme: "light" } as const;
const PHONE = {
  viewport: { width: 375, height: 667 },
  deviceScaleFactor: 2,
  isMobile: true,
  hasTouch: true,
  colorScheme: "dark",
} as const;

/** What a page said on its console and what it threw: nothing is expected, a refused inline style included. */
const complaints: string[] = [];

let browser: Browser;
let instance: TestInstance;
let shots: string;
let rooms = 0;

beforeAll(async () => {
  shots = await mkdtemp(join(tmpdir(), "trunkline-shots-"));
  [browser, instance] = await Promise.all([
    openBrowser(),
    startInstance({ command: "dev", env: { REGION: "fra", INSTANCE_ID: "fra-1" } }),
  ]);
}, 60_000);

afterAll(async () => {
  await browser?.close();
  await instance?.[Symbol.asyncDispose]();
  await rm(shots, { recursive: true, force: true });
});

afterEach(async () => {
  await Promise.all(browser.contexts().map((context) => context.close()));
});

/** A room nobody was in before. */
const newRoom = () => String(100 + rooms++);

async function newPage(options: BrowserContextOptions = DESKTOP, prepare?: (page: Page) => Promise<void>) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  await prepare?.(page);
  return page;
}

/** Comes into a room by the form, as a person would. */
async function enter(page: Page, room: string, name: string, url = instance.url): Promise<Page> {
  await page.goto(url);
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("textbox", { name: "Room" }).fill(room);
  await page.getByRole("button", { name: "Join the room" }).click();
  await connected(page);
  return page;
}

async function connected(page: Page): Promise<void> {
  await until(
    async () =>
      (await page.textContent("#state-text")) === "connected" && (await text(page, "epoch")) !== "—",
    {
      what: "the page to be connected and subscribed",
    },
  );
}

const text = (page: Page, id: string) => page.locator(`#${id}`).textContent();
const number = async (page: Page, id: string) => Number(await text(page, id));
const said = (page: Page) => page.locator("#messages .message .text").allTextContents();

async function say(page: Page, words: string): Promise<void> {
  await page.getByLabel("Message").fill(words);
  await page.keyboard.press("Enter");
}

async function sees(page: Page, words: string): Promise<void> {
  await until(async () => (await said(page)).includes(words), { what: `“${words}” on the page` });
}

async function hears(page: Page, count: number): Promise<void> {
  await until(async () => (await number(page, "received")) >= count, { what: `${count} messages` });
}

async function breakLink(page: Page, seconds: "2" | "5"): Promise<void> {
  await page.getByLabel("How long the link stays broken").selectOption(seconds);
  await page.getByRole("button", { name: "Break the link" }).click();
  await until(async () => (await text(page, "state-text")) === "link broken");
}

/** Waits until everything that arrived was compared with the stored history. */
async function checked(page: Page): Promise<void> {
  await until(
    async () => (await text(page, "checked"))?.endsWith(`offset ${(await text(page, "offset"))?.slice(1)}.`),
    {
      what: "the comparison with the stored history",
    },
  );
}

const publish = (channel: string, words: string) =>
  instance.api("publish", { channel, data: { text: words } });

describe("the demo page", () => {
  test("two people see each other, and what they and a service say, with the position", async () => {
    const room = newRoom();
    const ann = await enter(await newPage(), room, "ann");
    expect(await ann.locator("#people .name").allTextContents()).toEqual(["ann"]);
    const ben = await enter(await newPage(), room, "ben");
    for (const page of [ann, ben]) {
      await until(async () => (await text(page, "people-badge")) === "2", { what: "both in the list" });
    }
    await say(ann, "hello from ann");
    await sees(ben, "hello from ann");
    await say(ben, '<img src="x" onerror="document.title=1">');
    await publish(`chat:room.${room}`, "from a service");
    await sees(ann, "from a service");
    await hears(ben, 3);

    expect(await said(ann)).toEqual(await said(ben));
    expect(await ann.locator("#messages img").count()).toBe(0);
    expect(await text(ann, "region")).toBe("fra");
    expect(await text(ann, "instance")).toBe("fra-1");
    const history = await instance.api<{ epoch: string; offset: number }>("history", {
      channel: `chat:room.${room}`,
      limit: 0,
    });
    expect(await text(ann, "position")).toBe(`${history.epoch}:${history.offset}`);
    expect(Number.parseFloat((await text(ann, "latency")) ?? "")).toBeGreaterThan(0);
    expect(await text(ann, "nats-line")).toBe(`nats pub rt.chat.room.${room} '{"text":"hi"}'`);
    expect(await text(ann, "curl-line")).toContain(`{"channel":"chat:room.${room}","data":{"text":"hi"}}`);

    await ben.getByRole("button", { name: "Leave" }).click();
    await until(async () => (await text(ann, "people-badge")) === "1", { what: "ben to be gone" });

    // Who comes later sees what was said before.
    const cleo = await enter(await newPage(), room, "cleo");
    await sees(cleo, "hello from ann");
    expect(await number(cleo, "received")).toBe(0);
  }, 30_000);

  test("a broken link: what was missed arrives once, in order, and what was typed meanwhile is sent once", async () => {
    const room = newRoom();
    const ann = await enter(await newPage(PHONE), room, "ann");
    const ben = await enter(await newPage(), room, "ben");
    await say(ben, "before");
    await sees(ann, "before");
    await breakLink(ann, "2");
    await say(ann, "typed without a link");
    const missed = ["one", "two", "three", "four", "five"];
    for (const words of missed) await say(ben, words);
    await hears(ben, 6);
    for (const words of ["six", "seven"]) await publish(`chat:room.${room}`, words);
    expect(await number(ann, "received")).toBe(1);

    await until(
      async () => (await text(ann, "receipt"))?.includes("recovered: true, 7 missed messages delivered"),
      {
        what: "the recovery on the page",
      },
    );
    await hears(ann, 9);
    await hears(ben, 9);
    const everything = ["before", ...missed, "six", "seven", "typed without a link"];
    expect(await said(ann)).toEqual(everything);
    expect(await said(ben)).toEqual(everything);
    for (const page of [ann, ben]) {
      await checked(page);
      expect(await number(page, "received")).toBe(9);
      expect(await number(page, "duplicates")).toBe(0);
      expect(await number(page, "gaps")).toBe(0);
    }
    await until(async () => (await text(ben, "people-badge")) === "2", { what: "ann to be back" });
  }, 30_000);

  test("the counters show a message that came twice and one that never came", async () => {
    const room = newRoom();
    const ann = await newPage(DESKTOP, async (page) => {
      await page.routeWebSocket(/\/connection\/websocket/, (route) => {
        const server = route.connectToServer();
        server.onMessage((frame) => {
          if (!String(frame).includes("lost")) route.send(frame);
          if (String(frame).includes("twice")) route.send(frame);
        });
      });
    });
    await enter(ann, room, "ann");
    for (const words of ["first", "twice", "lost", "last"]) await publish(`chat:room.${room}`, words);
    await sees(ann, "last");
    await checked(ann);
    expect(await said(ann)).toEqual(["first", "twice", "last"]);
    expect(await number(ann, "duplicates")).toBe(1);
    expect(await number(ann, "gaps")).toBe(1);
  }, 30_000);

  test("the inbox gets what is sent to the user: before they came, at once, and after a broken link", async () => {
    await publish("user:dora", "before you came");
    const page = await enter(await newPage(), newRoom(), "dora");
    const inbox = page.locator("#inbox .text");
    await publish("user:dora", "for you");
    await until(async () => (await inbox.count()) === 2, { what: "the first two in the inbox" });
    await breakLink(page, "2");
    await publish("user:dora", "while you were away");
    await until(async () => (await inbox.count()) === 3, { what: "what waited in the inbox" });
    expect(await inbox.allTextContents()).toEqual(["while you were away", "for you", "before you came"]);
    expect(await text(page, "inbox-badge")).toBe("3");
  }, 30_000);

  test("a reload comes back into the room; another room in the address leads there", async () => {
    const [first, second] = [newRoom(), newRoom()];
    const page = await enter(await newPage(), first, "ed");
    await say(page, "still here");
    await sees(page, "still here");
    await page.reload();
    await connected(page);
    await sees(page, "still here");
    expect(await text(page, "me")).toBe("ed");
    expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe(`Room ${first}`);
    await page.evaluate((room) => {
      location.hash = `room=${room}`;
    }, second);
    await until(async () => (await text(page, "chat-title")) === `Room ${second}`);
    await connected(page);
    expect(await said(page)).toEqual([]);
  }, 30_000);

  test("an address with a room leads into it; what one can try is ticked when it has happened", async () => {
    const room = newRoom();
    const page = await newPage();
    await page.goto(`${instance.url}/#room=${room}`);
    await connected(page);
    const done = () => page.locator("#guide [data-done]").count();
    const [second] = await Promise.all([
      page.context().waitForEvent("page"),
      page.getByRole("link", { name: "Open a second tab" }).click(),
    ]);
    await connected(second);
    expect(await text(second, "me")).not.toBe(await text(page, "me"));
    await until(async () => (await done()) === 1, { what: "the second tab to be ticked" });
    await breakLink(page, "2");
    expect(await done()).toBe(2);
    await say(second, "missed");
    await until(async () => (await done()) === 4, { what: "all to be ticked" });
  }, 30_000);

  test("what is long is folded, and JSON is shown as it is written", async () => {
    const room = newRoom();
    const page = await enter(await newPage(), room, "ann");
    const long = "word ".repeat(300).trim();
    await publish(`chat:room.${room}`, long);
    await sees(page, long);
    const shown = page.locator("#messages .text").first();
    const height = async () => (await shown.boundingBox())!.height;
    const folded = await height();
    await page.getByRole("button", { name: "Show all 1,499 characters" }).click();
    expect(await height()).toBeGreaterThan(folded * 1.5);
    await page.getByRole("button", { name: "Show less" }).click();
    expect(await height()).toBe(folded);
    const data = { sensors: [{ id: "a1", value: 3.25 }], at: { region: "fra", city: "Frankfurt" } };
    await instance.api("publish", { channel: `chat:room.${room}`, data });
    await sees(page, JSON.stringify(data, null, 2));
  }, 30_000);

  test("without a token endpoint the page asks for a token", async () => {
    await using production = await startInstance();
    const page = await newPage();
    await page.goto(`${production.url}/#room=1`);
    await page.getByLabel("Your name").fill("fay");
    await page.getByRole("button", { name: "Join the room" }).click();
    await until(() => page.getByLabel("Connection token").isVisible());
    expect(await text(page, "token-command")).toBe("trunkline token --user fay");
    await page.getByLabel("Connection token").fill("nonsense");
    await page.getByRole("button", { name: "Join the room" }).click();
    await until(async () => (await text(page, "join-problem")) !== "");
    await page.getByLabel("Connection token").fill(connectionToken({ user: "gus" }));
    await page.getByRole("button", { name: "Join the room" }).click();
    await connected(page);
    expect(await text(page, "me")).toBe("gus");
    // The one refusal in all of this is the endpoint's 404, which the browser reports on its console.
    expect(complaints.splice(0).every((line) => line.includes("404"))).toBe(true);
  }, 30_000);

  test("it fits a phone and a desktop, and looks like something on both", async () => {
    const room = "42";
    const desktop = await enter(await newPage(DESKTOP), room, "ann");
    const phone = await enter(await newPage({ ...PHONE, bypassCSP: true }), room, "ben");
    const third = await enter(await newPage(), room, "cleo");
    const talk = async (page: Page, words: string) => {
      await say(page, words);
      for (const one of [desktop, phone, third]) await sees(one, words);
    };
    await talk(desktop, "Morning! Is the Lisbon crew on this trunk already?");
    await talk(phone, "Here, from the train.");
    await talk(phone, "A tunnel is coming up, I will drop off for a moment.");
    await talk(third, "Go on. I will keep talking, and we will see what you get.");
    await publish("user:ann", "Build 2215 is green.");
    await publish("user:ben", "Build 2214 is green.");
    await Promise.all([breakLink(desktop, "2"), breakLink(phone, "2")]);
    await say(third, "Frankfurt is deployed.");
    await say(third, "So is São Paulo.");
    await hears(third, 6);
    await publish(`chat:room.${room}`, "Deploy finished: 3 regions, 0 errors");
    for (const page of [desktop, phone]) {
      await until(async () => (await text(page, "receipt"))?.includes("3 missed messages"));
    }
    await talk(phone, "Out of the tunnel, and nothing is missing.");
    await Promise.all([checked(desktop), checked(phone)]);

    for (const width of [390, 360, 320]) {
      await phone.setViewportSize({ width, height: 700 });
      expect(await phone.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
      // The link is a picture still: most of it is to be seen on both sides of the position.
      const [cable, position] = await phone.evaluate(() =>
        [".cable", ".position"].map((one) => document.querySelector(one)!.getBoundingClientRect().width),
      );
      expect((cable! - position!) / 2).toBeGreaterThan(50);
    }
    for (const tab of ["People", "Inbox", "Wire", "Chat"]) {
      await phone.getByRole("button", { name: tab }).click();
      expect([tab, await flaws(phone)]).toEqual([tab, []]);
    }
    await phone.setViewportSize({ width: 900, height: 760 });
    expect(["between both", await flaws(phone)]).toEqual(["between both", []]);
    await phone.setViewportSize(PHONE.viewport);
    for (const page of [desktop, phone]) {
      // Not the window's own width: a phone's grows with what does not fit.
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(wide).toBeLessThanOrEqual(page.viewportSize()!.width);
    }
    for (const [name, panel] of [
      ["People", "people"],
      ["Inbox", "inbox"],
      ["Wire", "wire"],
      ["Chat", "chat"],
    ]) {
      await phone.getByRole("button", { name }).click();
      expect(await phone.locator(".panel:visible").evaluateAll((shown) => shown.map(({ id }) => id))).toEqual(
        [`panel-${panel}`],
      );
    }
    for (const [name, page] of Object.entries({ desktop, phone })) {
      const path = join(process.env.TRUNKLINE_SCREENSHOTS ?? shots, `demo-${name}.png`);
      await page.screenshot({ path, animations: "disabled" });
      const colours = await page.evaluate(
        coloursOf,
        Buffer.from(await Bun.file(path).arrayBuffer()).toString("base64"),
      );
      expect(colours).toBeGreaterThan(100);
    }
  }, 60_000);

  test("nothing was said on any console", () => {
    expect(complaints).toEqual([]);
  });
});

/** In the page: how many different colours a picture has; a blank one has one. */
async function coloursOf(base64: string): Promise<number> {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d")!;
  canvas.drawImage(image, 0, 0);
  const { data } = canvas.getImageData(0, 0, image.width, image.height);
  return new Set(new Uint32Array(data.buffer)).size;
}
