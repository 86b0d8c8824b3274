import { h } from "./dom.js";
import { Follow } from "./follow.js";
import { plural } from "./format.js";
import { field, link, note, panel, table } from "./parts.js";

export const title = "Trace";

const NAMES = ["user", "channel", "client", "instance"];

export function open(context) {
  const { params, show, may } = context;
  const asked = new URLSearchParams(
    [...params].filter(([name, value]) => (NAMES.includes(name) || name === "payloads") && value),
  );
  const trace = new Follow(asked, () => show());
  if (NAMES.some((name) => asked.has(name))) void trace.follow();
  return {
    close: () => trace.end(),
    view: () => [
      h("h1", { "data-key": "title" }, "Trace"),
      form(asked, may("payloads")),
      ...(trace.begun ? view(trace) : []),
    ],
  };
}

function form(asked, payloads) {
  const submit = (event) => {
    event.preventDefault();
    const given = Object.fromEntries(
      [...new FormData(event.target)].filter(([, value]) => value.trim() !== ""),
    );
    const wanted = link("trace", given);
    // The same again begins anew.
    if (location.hash === wanted) dispatchEvent(new Event("hashchange"));
    else location.hash = wanted;
  };
  const props = { spellcheck: "false", autocapitalize: "off", autocomplete: "off" };
  const labels = { user: "User", channel: "Channel", client: "Connection", instance: "Instance" };
  return h(
    "form",
    { class: "line", onsubmit: submit, "data-key": `form ${asked}` },
    NAMES.map((name) =>
      field(labels[name], ["input", { id: `trace-${name}`, name, value: asked.get(name) ?? "", ...props }]),
    ),
    payloads &&
      h(
        "label",
        { class: "check" },
        h("input", { type: "checkbox", name: "payloads", value: "true", checked: asked.has("payloads") }),
        "With messages",
      ),
    h("button", { class: "primary", type: "submit" }, "Look"),
  );
}

function view(trace) {
  const { state, steps, dropped, problem, running } = trace;
  const looks = state ? `on ${plural(state.instances.length, "instance")}` : "asking";
  return [
    problem && note(problem, "bad"),
    state?.partial && note("Not every instance has answered: steps may be missing."),
    state?.busy.length > 0 && note(`These serve too many traces already: ${state.busy.join(", ")}.`),
    trace.wanted &&
      state &&
      !state.payloads &&
      note("No instance shows messages: trace.payloads is off there."),
    dropped > 0 && note(`${plural(dropped, "step")} had no room, and are not shown.`),
    panel(
      {
        title: running ? "Live, the newest first" : "Ended",
        fact: `${looks} · ${plural(steps.length, "step")}`,
      },
      table({
        caption: "Steps",
        columns: COLUMNS,
        rows: steps,
        key: ({ number }) => String(number),
        empty: running ? "Nothing has happened yet." : "Nothing happened.",
      }),
      running &&
        h(
          "div",
          { class: "buttons inside" },
          h("button", { class: "quiet", type: "button", onclick: () => trace.end() }, "Stop"),
        ),
    ),
  ];
}

const time = (at) =>
  `${new Date(at).toLocaleTimeString("en-GB", { hour12: false })}.${String(at % 1000).padStart(3, "0")}`;
const KNOWN = new Set([
  "number",
  "at",
  "step",
  "instance",
  "region",
  "user",
  "client",
  "channel",
  "data",
  "b64data",
]);

const COLUMNS = [
  { label: "Time", cell: ({ at }) => time(at) },
  {
    label: "Step",
    text: true,
    cell: ({ step }) =>
      h("span", { class: /refused|not delivered|lost|left out/.test(step) && "bad-text" }, step),
  },
  { label: "Instance", text: true, cell: ({ instance, region }) => `${instance} (${region})` },
  { label: "User", text: true, cell: ({ user }) => user && h("a", { href: link("users", { user }) }, user) },
  {
    label: "Channel",
    text: true,
    cell: ({ channel }) => channel && h("a", { href: link("channels", { channel }) }, channel),
  },
  { label: "Facts", text: true, wide: true, cell: facts },
];

function facts(step) {
  const own = Object.entries(step).filter(([name, value]) => !KNOWN.has(name) && value !== undefined);
  const text = own.map(([name, value]) => `${name.replaceAll("_", " ")} ${factOf(name, value)}`).join(", ");
  const message = step.data ?? (step.b64data && `base64 ${step.b64data}`);
  return [text || UNSAID, message !== undefined && h("code", { class: "doc" }, message)];
}

function factOf(name, value) {
  if (name.endsWith("_at") && typeof value === "number") return time(value);
  return typeof value === "object" ? JSON.stringify(value) : value;
}

const UNSAID = "–";
