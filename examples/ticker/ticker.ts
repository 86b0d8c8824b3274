import { Centrifuge } from "centrifuge";
import type { Quote } from "./feed.ts";

const scheme = location.protocol === "https:" ? "wss" : "ws";
const client = new Centrifuge(`${scheme}://${location.host}/connection/websocket`);
const prices = client.newSubscription("prices:all");
const table = document.querySelector<HTMLTableSectionElement>("#prices")!;
const count = document.querySelector<HTMLOutputElement>("#received")!;
const cells = new Map<string, HTMLTableCellElement>();
/** Symbols that have come live: what the history says of them is older. */
const live = new Set<string>();
let received = 0;

function show({ symbol, price }: Quote): void {
  let cell = cells.get(symbol);
  if (cell === undefined) {
    const row = table.insertRow();
    row.insertCell().textContent = symbol;
    cell = row.insertCell();
    cell.dataset.symbol = symbol;
    cells.set(symbol, cell);
  }
  cell.textContent = price.toFixed(5);
}

prices.on("subscribed", async () => {
  live.clear();
  // The newest price of each symbol, before its next one comes.
  const { publications } = await prices.history({ limit: 200, reverse: true });
  const newest = new Map<string, Quote>();
  for (const { data } of publications) if (!newest.has(data.symbol)) newest.set(data.symbol, data);
  for (const quote of newest.values()) if (!live.has(quote.symbol)) show(quote);
});
prices.on("publication", ({ data }) => {
  live.add(data.symbol);
  show(data);
  count.textContent = String(++received);
});
client.on("state", ({ newState }) => {
  document.querySelector("#state")!.textContent = newState === "connected" ? "" : "Reconnecting …";
});

prices.subscribe();
client.connect();
