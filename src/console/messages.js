/** Rows kept on the page. */
const MAX_ROWS = 300;

/** A message of the same author within so long stands under the one before it without its name, ms. */
const GROUP_MS = 60_000;

/**
 * The place in the stream that an offset says: NATS offsets are a sequence and 16 bits that name the message, fewer in very
 * long streams (with the embedded broker they are small, and sequences by themselves). As src/core/tag.ts has it.
 */
export function placeOf(offset) {
  if (offset < 65_536) return offset;
  if (offset < 2 ** 52) return Math.floor(offset / 65_536);
  const [from, begins, room] =
    offset < 2 ** 52 + 2 ** 51 ? [2 ** 36, 2 ** 52, 4_096] : [2 ** 36 + 2 ** 39, 2 ** 52 + 2 ** 51, 256];
  return from + Math.floor((offset - begins) / room);
}

/** The list of messages. Rows come in any number a second; the page is touched once a frame. */
export class Messages {
  #list;
  #scroller;
  #newer;
  #queue = [];
  #outbox = [];
  #frame = 0;
  /** The newest row is in view, and new ones are followed. */
  #following = true;
  /** Author and time of the newest row, for grouping. */
  #last = { author: "", at: 0 };

  /** @param newer the button that says there is more below */
  constructor(list, scroller, newer) {
    this.#list = list;
    this.#scroller = scroller;
    this.#newer = newer;
    newer.addEventListener("click", () => this.#toEnd());
    scroller.addEventListener(
      "scroll",
      () => {
        this.#following = this.#atEnd;
        if (this.#following) this.#newer.hidden = true;
      },
      { passive: true },
    );
    // A phone's keyboard takes half of the height.
    new ResizeObserver(() => this.#following && this.#toEnd()).observe(scroller);
  }

  /** `{kind: "message", author, own, text, code, at, offset, recovered}` or `{kind: "note", text, tone}` */
  add(row) {
    this.#queue.push(row);
    if (this.#queue.length > MAX_ROWS) this.#queue.shift();
    this.#schedule();
  }

  /** Puts earlier messages before everything that is there. */
  prepend(rows) {
    const last = { author: "", at: 0 };
    this.#list.prepend(...rows.map((row) => element(row, last)));
    if (this.#list.childElementCount === rows.length) this.#last = last;
    this.#toEnd();
  }

  /** The messages on their way, always the last ones. */
  showOutbox(entries) {
    this.#outbox = entries;
    this.#schedule();
  }

  clear() {
    this.#queue = [];
    this.#outbox = [];
    this.#last = { author: "", at: 0 };
    this.#list.replaceChildren();
    this.#toEnd();
  }

  get #atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < 48;
  }

  #toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#following = true;
    this.#newer.hidden = true;
  }

  #schedule() {
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    const fresh = this.#queue.splice(0);
    for (const old of this.#list.querySelectorAll(".pending")) old.remove();
    const rows = fresh.map((row) => element(row, this.#last));
    this.#list.append(...rows);
    for (let over = this.#list.childElementCount - MAX_ROWS; over > 0; over--) this.#list.firstChild.remove();
    this.#list.append(...this.#outbox.map(pending));
    if (this.#following || this.#outbox.length > 0) this.#toEnd();
    else if (fresh.length > 0) this.#newer.hidden = false;
  }
}

function element(row, last) {
  const item = document.createElement("li");
  if (row.kind === "note") {
    item.className = `note ${row.tone ?? ""}`;
    item.textContent = row.text;
    last.author = "";
    return item;
  }
  item.className = "message";
  item.classList.toggle("own", row.own);
  item.classList.toggle("recovered", row.recovered === true);
  if (row.author !== last.author || row.at - last.at > GROUP_MS) {
    const head = child(item, "div", "head");
    paint(child(head, "span", "author", row.author), row.author);
    child(head, "time", "", clock(row.at)).dateTime = new Date(row.at).toISOString();
  } else item.classList.add("follows");
  const body = child(item, "div", "body");
  putText(body, row);
  if (row.offset) child(body, "span", "offset", `#${placeOf(row.offset)}`).title = `offset ${row.offset}`;
  last.author = row.author;
  last.at = row.at;
  return item;
}

/** What is longer than this, in characters or lines, is folded. */
const LONG = 600;
const LONG_LINES = 16;

/** Puts a message's text into its place; a long one can be unfolded. @param code it is shown as it is written */
export function putText(parent, { text, code = false }) {
  const whole = child(parent, "div", "whole");
  const shown = child(whole, "p", code ? "text code" : "text", text);
  if (text.length <= LONG && text.split("\n").length <= LONG_LINES) return;
  const more = child(whole, "button", "more");
  more.type = "button";
  const fold = (folded) => {
    shown.classList.toggle("folded", folded);
    more.setAttribute("aria-expanded", String(!folded));
    more.textContent = folded ? `Show all ${text.length.toLocaleString()} characters` : "Show less";
  };
  more.addEventListener("click", () => fold(!shown.classList.contains("folded")));
  fold(true);
}

function pending(entry) {
  const item = document.createElement("li");
  item.className = "message own pending";
  const body = child(item, "div", "body");
  putText(body, entry.data);
  child(body, "span", "offset", entry.tries > 1 ? "again …" : "sending …");
  return item;
}

export function child(parent, tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  parent.append(made);
  return made;
}

/** Gives a person a colour of their own, the same on every page. */
export function paint(target, name) {
  let hash = 0;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) % 360;
  target.style.setProperty("--hue", String(hash));
}

export function clock(at) {
  return new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}
