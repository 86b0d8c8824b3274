import { freePort } from "../../src/process/ports.ts";
import { openBrowser } from "../helpers/browser.ts";
import { until } from "../helpers/until.ts";
import { type Packed, started } from "./package.ts";

/** `npx trunkline dev` in an empty folder, and a message from one tab to another. */
export async function firstMessage(from: Packed): Promise<void> {
  const folder = await from.folder("browser");
  const port = await freePort();
  const command = ["npx", "--yes", "--package", from.tarball, "--", "trunkline", "dev"];
  await using _dev = started(folder, command, { PORT: `${port}` });
  const url = `http://127.0.0.1:${port}/`;
  const answers = () =>
    fetch(url).then(
      ({ ok }) => ok,
      () => false,
    );
  await until(answers, { what: "dev to answer", timeoutMs: 120_000 });
  await using browser = await openBrowser();
  const tabs = await Promise.all(
    ["ann", "bob"].map(async (name) => {
      const page = await browser.newPage();
      await page.goto(url);
      await page.getByLabel("Your name").fill(name);
      await page.getByRole("textbox", { name: "Room" }).fill("walk");
      await page.getByRole("button", { name: "Join the room" }).click();
      await until(async () => (await page.textContent("#state-text")) === "connected", { timeoutMs: 20_000 });
      return page;
    }),
  );
  const [ann, bob] = tabs;
  await ann!.getByLabel("Message").fill("hello");
  await ann!.keyboard.press("Enter");
  await bob!.getByText("hello").first().waitFor({ timeout: 10_000 });
}
