import { h, svg } from "./dom.js";
import { UNKNOWN } from "./format.js";

/** The address of a page of the console. */
export function link(name, params = {}) {
  const query = new URLSearchParams(params).toString();
  return `#/${name}${query && `?${query}`}`;
}

/** Something that must be known before the rest is believed. */
export function note(text, tone = "warn") {
  return h("p", { class: `notice ${tone}`, role: "status", "data-key": `note ${tone}` }, text);
}

/** Figures side by side: `label`, `value`, and what stands below (`more`). */
export function tiles(all) {
  return h(
    "dl",
    { class: "tiles", "data-key": "tiles" },
    all.map(({ label, value, more }) =>
      h(
        "div",
        { "data-key": label },
        h("dt", {}, label),
        h("dd", {}, h("span", { class: "value" }, value), more),
      ),
    ),
  );
}

const [WIDE, HIGH] = [96, 24];

/** The run of a value, the newest on the right; says nothing to who cannot see it. */
export function spark(values) {
  const known = values.filter((value) => value !== undefined);
  const top = Math.max(...known, 0) || 1;
  const step = WIDE / 59;
  const points = values.flatMap((value, index) =>
    value === undefined
      ? []
      : [
          `${(WIDE - (values.length - 1 - index) * step).toFixed(1)},${(HIGH - 1 - (value / top) * (HIGH - 3)).toFixed(1)}`,
        ],
  );
  return svg(
    "svg",
    { class: "spark", viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("polyline", { points: points.join(" ") }),
  );
}

/**
 * A table that becomes a list of cards where there is no room; the roles stay, whatever the style makes of it.
 * @param columns `label`, `cell(row)`, `text` for what is no figure; the first is the head of its row
 */
export function table({ caption, columns, rows, key, empty = "Nothing." }) {
  if (rows.length === 0) return h("p", { class: "none", "data-key": `empty ${caption}` }, empty);
  return h(
    "table",
    { class: "cards", role: "table", "data-key": `table ${caption}` },
    h("caption", { class: "unseen" }, caption),
    h(
      "thead",
      { role: "rowgroup" },
      h(
        "tr",
        { role: "row" },
        columns.map(({ label, text, hidden }, at) =>
          h(
            "th",
            { scope: "col", role: "columnheader", class: (at === 0 || text) && "text" },
            hidden ? h("span", { class: "unseen" }, label) : label,
          ),
        ),
      ),
    ),
    h(
      "tbody",
      { role: "rowgroup" },
      rows.map((row) =>
        h(
          "tr",
          { role: "row", "data-key": key(row) },
          columns.map((column, at) => cellOf(column, row, at)),
        ),
      ),
    ),
  );
}

function cellOf({ label, text, wide, hidden, cell }, row, at) {
  const content = cell(row);
  const own = content === undefined || content === false || content === "" ? UNKNOWN : content;
  if (at === 0) return h("th", { scope: "row", role: "rowheader", class: "text" }, own);
  const classes = [text && "text", wide && "wide"].filter(Boolean).join(" ");
  return h(
    "td",
    { role: "cell", "data-label": hidden ? "" : label, class: classes || false },
    h("div", {}, own),
  );
}

/** A part of a page under a heading. `fact`: what stands beside it. */
export function panel({ title, fact, key = title }, ...children) {
  const id = `panel-${key.replaceAll(/\W+/g, "-").toLowerCase()}`;
  return h(
    "section",
    { class: "panel", "data-key": id, "aria-labelledby": id },
    h("div", { class: "panel-head" }, h("h2", { id }, title), fact && h("span", { class: "fact" }, fact)),
    children,
  );
}

let fields = 0;

/** A labelled field. @param control of `h`: `input`, `select` or `textarea`, with its props */
export function field(label, [name, props, ...children], help) {
  const id = props.id ?? `field-${++fields}`;
  return h(
    "div",
    { class: "field", "data-key": `field ${props.name}` },
    h("label", { for: id }, label),
    h(name, { ...props, id, "aria-describedby": help && `${id}-help` }, ...children),
    help && h("p", { class: "help", id: `${id}-help` }, help),
  );
}

/** Choices of a `select`, by value. */
export const options = (all) => Object.entries(all).map(([value, label]) => h("option", { value }, label));

/** How long a block or revocation lasts, s. */
export const DURATIONS = { 3600: "1 hour", 86400: "1 day", 604800: "7 days", 7776000: "90 days" };

export const endOf = (seconds) => Math.floor(Date.now() / 1000) + Number(seconds);

/** What was found, the worst first: of `why`. */
export function findings(all) {
  const tones = { cause: "bad", hint: "warn", fine: "good" };
  return h(
    "ul",
    { class: "findings", "data-key": "findings" },
    all.map(({ kind, text }) =>
      h("li", {}, h("span", { class: `tone ${tones[kind]}` }, kind), h("span", {}, text)),
    ),
  );
}

/** Codes from here on are no errors of commands: the server ended something. */
const FIRST_END = 1000;

function happened(what, code) {
  if (what === "end") return "connection ended";
  if (what === "unsubscribe" && code >= FIRST_END) return "subscription ended";
  if (what === "recover") return "missed messages gone";
  return `${what} refused`;
}

/** Troubles as a table. @param where whether to say the instance */
export const troubleColumns = (clock) => [
  { label: "When", cell: ({ atMs, at_ms: at }) => clock(atMs ?? at) },
  {
    label: "What",
    text: true,
    cell: ({ what, code, times }) => `${happened(what, code)}${times > 1 ? ` ${times} times` : ""}`,
  },
  { label: "Code", cell: ({ code }) => String(code) },
  { label: "Message", text: true, cell: ({ message }) => message },
  {
    label: "User",
    text: true,
    cell: ({ user }) => (user ? h("a", { href: link("users", { user }) }, user) : "unknown"),
  },
  {
    label: "Channel",
    text: true,
    cell: ({ channel }) => channel && h("a", { href: link("channels", { channel }) }, channel),
  },
];
