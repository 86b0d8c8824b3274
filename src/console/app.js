import { Guide } from "./guide.js";
import { joinForm } from "./join.js";
import { child, clock, Messages, paint, placeOf, putText } from "./messages.js";
import { People } from "./people.js";
import { Room } from "./room.js";

/** Notifications kept on the page. */
const MAX_INBOX = 50;

/** Pulses on the cable at one time. */
const MAX_PULSES = 8;

const $ = (id) => document.getElementById(id);
const text = (id, value) => {
  const target = $(id);
  if (target.textContent !== value) target.textContent = value;
};

const messages = new Messages($("messages"), $("scroller"), $("newer"));
const guide = new Guide($("guide"));
const people = new People($("people"), {
  onCount(users, connections) {
    text("people-badge", String(users));
    if (connections > 1) guide.tick("second");
    text("people-count", connections > users ? `${users} people, ${connections} connections` : "");
  },
  onChange: (user, what) => messages.add({ kind: "note", text: `${user || "anonymous"} ${what}` }),
});

/** The room the page is in. */
let room;
let frame = 0;
let countdown = 0;

const form = joinForm({ join: enter });

function enter({ user, token, refresh, name, place }) {
  document.body.dataset.view = "app";
  $("join").hidden = true;
  $("app").hidden = $("leave").hidden = false;
  document.title = `Room ${name} · Trunkline`;
  text("me", user);
  paint($("me-plug"), user);
  text("region", place.region ?? "—");
  text("instance", place.instance ?? "—");
  text("chat-title", `Room ${name}`);
  text("room-title", `Room ${name}`);
  $("second").href = `#room=${encodeURIComponent(name)}`;
  text("channel", `chat:room.${name}`);
  text("inbox-channel", `user:${user}`);
  showLines(name, user, place);
  $("again").hidden = true;
  composing(true);
  room = new Room({ user, token, refreshable: refresh, name, on: told });
  $("text").focus();
}

/** The lines a service's developer types, as far as the instance tells: only in development it gives its API key. */
function showLines(name, user, { nats, apiKey = "…" }) {
  text("nats-line", `nats pub rt.chat.room.${name} '{"text":"hi"}'`);
  if (nats === false)
    text("nats-help", "From any service, in any language, over NATS (once NATS_URL is set)");
  const curl = (channel, words) =>
    `curl ${location.origin}/api/publish \\\n  -H 'X-API-Key: ${apiKey}' \\\n  -d '{"channel":"${channel}","data":{"text":"${words}"}}'`;
  text("curl-line", curl(`chat:room.${name}`, "hi"));
  text(
    "inbox-line",
    nats === false ? curl(`user:${user}`, "psst") : `nats pub rt.user.${user} '{"text":"psst"}'`,
  );
}

function leave() {
  room.leave();
  room = undefined;
  clearInterval(countdown);
  messages.clear();
  people.clear();
  guide.clear();
  $("inbox").replaceChildren();
  text("inbox-badge", "0");
  state("off", "not connected");
  document.body.dataset.view = "join";
  document.title = "Trunkline";
  $("join").hidden = false;
  $("app").hidden = $("leave").hidden = true;
}

/** What the room tells. */
const told = {
  /** @param name the stock client's: "connecting" | "connected" | "disconnected" */
  state(name, detail) {
    const up = name === "connected";
    const cut = document.body.dataset.link === "cut";
    if (cut && !up) return;
    state(up ? "up" : name === "connecting" ? "wait" : "down", detail ? `${name}: ${detail}` : name);
    if (name === "disconnected")
      receipt(`The connection ended for good: ${detail}. Leave and join again.`, "bad");
  },
  replaced() {
    state("down", "replaced");
    const why = `${$("me").textContent} is here in a newer tab or on another device, and the newest wins.`;
    receipt(`${why} This tab was closed for it (4501).`, "bad");
    messages.add({ kind: "note", text: "this tab was closed: a newer one has taken its place", tone: "bad" });
    $("again").hidden = false;
    composing(false);
  },
  place: ({ instance }) => instance && text("instance", instance),
  earlier: (publications) => messages.prepend(publications.map((publication) => rowOf(publication, {}))),
  message(publication, { own, recovered }) {
    messages.add(rowOf(publication, { recovered }));
    pulse(own);
  },
  note: (note, tone) => messages.add({ kind: "note", text: note, tone }),
  recovery({ recovered, missed, ms }) {
    const took = ms ? ` ${(ms / 1000).toFixed(1)} s after the link broke` : "";
    const what = recovered
      ? `recovered: true, ${missed} missed ${missed === 1 ? "message" : "messages"} delivered`
      : "recovered: false, the messages between are gone; the room was loaded again";
    receipt(`${what}${took}`, recovered ? "good" : "bad");
    if (recovered && missed > 0) for (const step of ["talk", "back"]) guide.tick(step);
    if (recovered) messages.add({ kind: "note", text: what, tone: "good" });
    else messages.clear();
  },
  restored() {
    clearInterval(countdown);
    state("wait", "connecting");
    receipt("The network is back; connecting …", "");
  },
  presence(self, ask) {
    people
      .load(self, ask)
      .catch(({ message }) => told.note(`the list of people could not be read: ${message}`, "bad"));
  },
  presenceChange: (kind, info) => people.apply(kind, info),
  inbox({ channel, data, offset }) {
    const item = document.createElement("li");
    putText(item, said(data));
    child(
      item,
      "span",
      "offset",
      [channel, offset ? `#${placeOf(offset)}` : "", clock(Date.now())].join(" "),
    );
    $("inbox").prepend(item);
    while ($("inbox").childElementCount > MAX_INBOX) $("inbox").lastChild.remove();
    text("inbox-badge", String($("inbox").childElementCount));
  },
  outbox: (entries) => messages.showOutbox(entries),
  changed: () => {
    if (frame === 0) frame = requestAnimationFrame(count);
  },
};

function rowOf({ data, info, offset }, { recovered }) {
  const author = info ? info.user || "anonymous" : "a service";
  const at = typeof data?.at === "number" && Math.abs(data.at) < 8.64e15 ? data.at : Date.now();
  return {
    kind: "message",
    author,
    own: info !== undefined && info.user === room.user,
    ...said(data),
    at,
    offset,
    recovered,
  };
}

/** Longest JSON that stays on one line, characters. */
const ONE_LINE = 60;

/** A message may be any JSON: shown as text, whatever it is. `code`: it is to be shown as it is written. */
function said(data) {
  if (typeof data?.text === "string") return { text: data.text };
  const line = JSON.stringify(data);
  return { text: line.length > ONE_LINE ? JSON.stringify(data, null, 2) : line, code: true };
}

function count() {
  frame = 0;
  if (!room) return;
  const { ledger } = room;
  text("epoch", ledger.epoch || "—");
  text("offset", ledger.epoch ? `:${ledger.offset}` : "");
  for (const key of ["received", "duplicates", "gaps"]) {
    text(key, ledger[key].toLocaleString());
    $(key).classList.toggle("bad", key !== "received" && ledger[key] > 0);
  }
  if (ledger.received > 0) {
    text(
      "checked",
      ledger.fullyChecked
        ? `Compared with the stored history up to offset ${ledger.checkedTo}.`
        : "Comparing with the stored history …",
    );
  }
  text("latency", milliseconds(ledger.lastMs));
  text("median", milliseconds(ledger.medianMs));
}

function milliseconds(ms) {
  return ms === undefined ? "—" : `${ms < 100 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

/** @param link "off" | "wait" | "up" | "cut" | "down" */
function state(link, words) {
  document.body.dataset.link = link;
  text("state-text", words);
  text("cable-caption", link === "cut" ? "link broken" : "position");
  $("cut").disabled = link !== "up";
}

/** Whether anything can be said here. */
function composing(can) {
  for (const part of $("composer").elements) part.disabled = !can;
}

function receipt(words, tone) {
  text("receipt", words);
  $("receipt").dataset.tone = tone;
}

/** A message travels along the cable. */
function pulse(outward) {
  const cable = $("cable");
  if (document.hidden || cable.querySelectorAll(".pulse").length >= MAX_PULSES) return;
  const dot = child(cable, "span", outward ? "pulse out" : "pulse");
  dot.addEventListener("animationend", () => dot.remove());
}

function breakLink(event) {
  event.preventDefault();
  let left = Number($("cut-seconds").value);
  room.cut(left * 1000);
  state("cut", "link broken");
  guide.tick("cut");
  messages.add({ kind: "note", text: "link broken", tone: "bad" });
  const tick = () =>
    receipt(`The link is broken and comes back in ${left} s. Messages meanwhile are not lost.`, "bad");
  tick();
  clearInterval(countdown);
  countdown = setInterval(() => {
    left--;
    if (left > 0) tick();
  }, 1000);
}

$("cut-form").addEventListener("submit", breakLink);
$("leave").addEventListener("click", () => {
  leave();
  form.left();
});

$("again").addEventListener("click", () => {
  leave();
  form.submit();
});

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const words = $("text").value.trim();
  if (words === "") return;
  room.send(words);
  $("text").value = "";
  $("text").focus();
});

const tabs = document.querySelectorAll(".tabs button");
for (const tab of tabs) {
  tab.addEventListener("click", () => {
    $("app").dataset.tab = tab.dataset.tab;
    for (const other of tabs) other.setAttribute("aria-pressed", String(other === tab));
  });
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const line = $(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(line.textContent);
      text("copied", "Copied");
      button.textContent = "Copied";
      setTimeout(() => {
        button.textContent = "Copy";
      }, 1500);
    } catch {
      // Not on a secure origin: the line is selected for the hand.
      getSelection().selectAllChildren(line);
    }
  });
}

addEventListener("hashchange", () => {
  if (!form.readHash() || !room || room.channel === `chat:room.${form.room}`) return;
  leave();
  form.submit();
});
