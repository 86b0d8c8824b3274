import type { Page } from "playwright-core";

export const DESKTOP = { viewport: { width: 1280, height: 800 }, colorScheme: "light" } as const;
export const DARK = { ...DESKTOP, colorScheme: "dark" } as const;
export const PHONE = { viewport: { width: 320, height: 640 }, isMobile: true, hasTouch: true } as const;

/** Pages of the console by their addresses, and what they are headed. */
export const PAGES = {
  overview: "Overview",
  channels: "Channels",
  "channels?channel=chat%3Aroom.1": "chat:room.1",
  users: "Users",
  "users?user=u1&channel=chat%3Aroom.1": "u1",
  trace: "Trace",
  errors: "Errors",
  streams: "Streams and copies",
  webhooks: "Webhooks",
  "webhooks?line=events.endpoint.billing": "Webhooks",
  settings: "Settings",
};

/** What people see and press. */
export const heading = (page: Page, name: string) => page.getByRole("heading", { level: 1, name }).waitFor();
export const button = (page: Page, name: string | RegExp) => page.getByRole("button", { name, exact: true });
export const dialog = (page: Page) => page.getByRole("dialog");
export const said = (page: Page, text: string) => page.getByRole("status").getByText(text).waitFor();
export const row = (page: Page, text: string | RegExp) => page.getByRole("row").filter({ hasText: text });
