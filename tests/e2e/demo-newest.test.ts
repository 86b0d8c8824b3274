import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Browser, Page } from "playwright-core";
import { openBrowser } from "../helpers/browser.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { until } from "../helpers/until.ts";

/** Single sign-on on the demo page: the newest tab of a user wins, and the older one says why it was closed. */

let browser: Browser;
let instance: TestInstance;
beforeAll(async () => {
  const env = { TRUNKLINE_LIMITS_NEWEST_WINS: "user" };
  [browser, instance] = await Promise.all([openBrowser(), startInstance({ command: "dev", env })]);
}, 60_000);
afterAll(async () => {
  await browser?.close();
  await instance?.[Symbol.asyncDispose]();
});

const sized = (width: number) => ({ viewport: { width, height: 640 } });
const state = (page: Page, words: string) =>
  until(async () => (await page.textContent("#state-text")) === words, { what: `the state "${words}"` });
/** What stands out of the window to the right. */
const wide = (page: Page) =>
  page.evaluate(() => {
    if (document.documentElement.scrollWidth <= innerWidth) return [];
    const out = [...document.querySelectorAll("body *")].filter(
      (one) => one.getBoundingClientRect().right > innerWidth,
    );
    return out.map(({ tagName, id, className }) => `${tagName} ${id} ${className}`);
  });

test.each([1280, 320])(
  "at %d px: the older tab says why it was closed, and can take its place back",
  async (width) => {
    const context = await browser.newContext(sized(width));
    const complaints: string[] = [];
    const enter = async (): Promise<Page> => {
      const page = await context.newPage();
      page.setDefaultTimeout(10_000);
      page.on("console", (message) => complaints.push(message.text()));
      page.on("pageerror", (error) => complaints.push(error.message));
      await page.goto(instance.url);
      await page.getByLabel("Your name").fill(`ann-${width}`);
      await page.getByRole("textbox", { name: "Room" }).fill(`newest-${width}`);
      await page.getByRole("button", { name: "Join the room" }).click();
      await state(page, "connected");
      return page;
    };
    const older = await enter();
    expect(await older.getByRole("button", { name: "Use this tab" }).isVisible()).toBe(false);
    const newer = await enter();
    await state(older, "replaced");
    expect(await older.textContent("#receipt")).toBe(
      `ann-${width} is here in a newer tab or on another device, and the newest wins. This tab was closed for it (4501).`,
    );
    expect(await older.getByLabel("Message").isDisabled()).toBe(true);
    const again = older.getByRole("button", { name: "Use this tab" });
    const box = await again.boundingBox();
    expect(box!.x + box!.width).toBeLessThanOrEqual(width);
    expect(await wide(older)).toEqual([]);
    // It stays away: nothing is tried in the background that would close the newer one.
    expect(await newer.textContent("#state-text")).toBe("connected");
    await again.click();
    await state(older, "connected");
    await state(newer, "replaced");
    await older.getByLabel("Message").fill("back again");
    await older.getByRole("button", { name: "Send" }).click();
    await until(async () => (await older.textContent("#messages"))?.includes("back again"), {
      what: "the message",
    });
    expect(await again.isVisible()).toBe(false);
    expect(complaints).toEqual([]);
    await context.close();
  },
  30_000,
);
