import { ApiError, credentials } from "./api.js";
import { h } from "./dom.js";
import { plural } from "./format.js";
import { field, link, note, panel, table } from "./parts.js";

export const title = "Trace";

/** Steps that are kept, the newest. */
const KEPT = 300;
/** Time between two pictures, ms: steps may come by the hundred. */
const DRAW_MS = 250;
const NAMES = ["user", "channel", "client", "instance"];

export function open(context) {
  const { params, show, may } = context;
  const asked = new URLSearchParams(
    [...params].filter(([name, value]) => (NAMES.includes(name) || name === "payloads") && value),
  );
  const trace = new Trace(asked, () => show());
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

/** What is seen of somebody or something as it happens. */
class Trace {
  begun = false;
  running = false;
  state;
  steps = [];
  dropped = 0;
  problem = "";
  #asked;
  #changed;
  #ended = new AbortController();
  #count = 0;
  #drawing = 0;

  constructor(asked, changed) {
    this.#asked = asked;
    this.#changed = changed;
  }

  /** Whether messages were asked for. */
  get wanted() {
    return this.#asked.has("payloads");
  }

  async follow() {
    this.begun = true;
    this.running = true;
    try {
      const response = await fetch(`api/trace?${this.#asked}`, {
        headers: credentials(),
        signal: this.#ended.signal,
      });
      if (!response.ok) throw new ApiError(response.status, 0, (await response.json()).error.message);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const events = (rest + part.value).split("\n\n");
        rest = events.pop();
        for (const event of events) this.#take(event);
      }
      this.problem = "The instance has ended the trace.";
    } catch (error) {
      if (!this.#ended.signal.aborted)
        this.problem =
          error instanceof ApiError ? `${error.message}.` : "The connection to this instance broke.";
    }
    this.running = false;
    this.#draw();
  }

  end() {
    this.#ended.abort();
  }

  #take(event) {
    const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? [];
    if (name === "state") this.state = JSON.parse(data);
    else if (name === "dropped") this.dropped += JSON.parse(data).dropped;
    else if (name === "step")
      this.steps = [{ ...JSON.parse(data), number: ++this.#count }, ...this.steps].slice(0, KEPT);
    this.#draw();
  }

  #draw() {
    if (this.#drawing) return;
    this.#drawing = setTimeout(() => {
      this.#drawing = 0;
      this.#changed();
    }, DRAW_MS);
  }
}
