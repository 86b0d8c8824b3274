import { Centrifuge } from "centrifuge";

/** Most positions that this page sends in a second: enough for the eye, and below the namespace's `publishRate`. */
const PER_SECOND = 25;

/** Where a pointer is, as a part of the window's width and height. */
interface Position {
  readonly x: number;
  readonly y: number;
}

const scheme = location.protocol === "https:" ? "wss" : "ws";
const client = new Centrifuge(`${scheme}://${location.host}/connection/websocket`);
const board = client.newSubscription("board:main", { joinLeave: true });
const cursors = new Map<string, HTMLElement>();
let own = "";

function cursorOf(user: string, color: string): HTMLElement {
  const known = cursors.get(user);
  if (known) return known;
  const dot = document.createElement("div");
  dot.className = "cursor";
  dot.style.background = color;
  cursors.set(user, dot);
  return document.body.appendChild(dot);
}

function removeAll(): void {
  for (const dot of cursors.values()) dot.remove();
  cursors.clear();
}

client.on("connected", ({ client }) => {
  own = client;
  removeAll(); // who left while we were away left no word
});
client.on("state", ({ newState }) => {
  document.querySelector("#state")!.textContent = newState === "connected" ? "" : "Reconnecting …";
});
board.on("publication", ({ data, info }) => {
  if (info === undefined || info.client === own) return;
  const { x, y } = data as Position;
  const { color } = info.connInfo as { color: string };
  cursorOf(info.user, color).style.translate = `${x * innerWidth}px ${y * innerHeight}px`;
});
board.on("leave", ({ info }) => {
  cursors.get(info.user)?.remove();
  cursors.delete(info.user);
});

// The newest position only, at the pace above: what is between two of them nobody misses.
let next: Position | undefined;
document.addEventListener("pointermove", ({ clientX, clientY }) => {
  next = { x: clientX / innerWidth, y: clientY / innerHeight };
});
setInterval(() => {
  if (next === undefined || board.state !== "subscribed") return;
  board.publish(next).catch(() => undefined); // the next one makes up for it
  next = undefined;
}, 1000 / PER_SECOND);

board.subscribe();
client.connect();
