import { ask } from "./ask.js";
import { h } from "./dom.js";
import { Follow } from "./follow.js";
import { bytes, clock, number, plural } from "./format.js";
import { field, findings, link, note, options, panel, table, tiles, troubleColumns } from "./parts.js";

/** Messages that are shown at once. */
const SHOWN = 20;

/** One channel: who has it, what it keeps, and what can be done with it. */
export function channelPage(context, channel) {
  const { call, may } = context;
  const toggle = () => {
    state.payloads = !state.payloads;
    forget();
    void context.look();
  };
  const forget = () => live.end();
  const state = { channel, payloads: false, toggle, forget };
  const live = new Live(channel, () => context.show());
  return {
    close: () => live.end(),
    async load() {
      const asked = (method, params) => call(method, { channel, ...params }).catch((error) => ({ error }));
      // Each time that messages are read is in the audit: what comes live need not be.
      const kept = state.payloads && state.followed && live.running ? state.history : undefined;
      const [why, history, presence] = await Promise.all([
        call("why", { channel }),
        kept ?? asked("history", { limit: SHOWN, payloads: state.payloads }),
        asked("presence"),
      ]);
      const followed = why.instances.some((one) => one.channel);
      Object.assign(state, { history, presence, why, followed });
      live.begin(state.payloads);
    },
    view: () => [
      h("h1", { "data-key": "title" }, channel),
      h(
        "p",
        { "data-key": "trace" },
        h("a", { href: link("trace", { channel }) }, "Trace this channel live"),
      ),
      state.why && view(context, { ...state, live }),
      state.why && may("act") && publishPanel(context, channel),
    ],
  };
}

/** What comes while the page is open, without asking again and again. */
class Live {
  #channel;
  #changed;
  #follow;
  #payloads;

  constructor(channel, changed) {
    this.#channel = channel;
    this.#changed = changed;
  }

  /** Begins, or begins anew where other things are to be shown. */
  begin(payloads) {
    if (this.#follow?.running && this.#payloads === payloads) return;
    this.end();
    this.#payloads = payloads;
    const asked = new URLSearchParams({ channel: this.#channel, ...(payloads && { payloads: "true" }) });
    this.#follow = new Follow(asked, this.#changed);
    void this.#follow.follow();
  }

  end() {
    this.#follow?.end();
    this.#follow = undefined;
  }

  /** Every instance shows what it sees, and nothing of it had no room. */
  get running() {
    const { running, state, dropped } = this.#follow ?? {};
    return running === true && state?.busy.length === 0 && !state.partial && dropped === 0;
  }

  /** Messages that have come since then, the newest first, each once however many instances have it. */
  messages() {
    const seen = new Map();
    for (const step of this.#follow?.steps ?? []) {
      if (step.step !== "delivered" && step.step !== "left out") continue;
      const key = step.offset > 0 ? step.offset : step.number;
      if (!seen.has(key) || step.bytes !== undefined) seen.set(key, step);
    }
    return [...seen.values()];
  }
}

/** The newest of what is kept and what has come since, each once. */
function newest(publications, live) {
  const known = new Set(publications.map(({ offset }) => offset));
  const come = live
    .messages()
    .filter(({ offset }) => !(offset > 0 && known.has(offset)))
    .map((step) => ({
      ...{ offset: step.offset, time_ms: step.stored_at ?? step.at, bytes: step.bytes ?? 0 },
      ...{ data: step.data ?? step.b64data, binary: step.b64data !== undefined, come: true },
    }));
  return [...come, ...publications].slice(0, SHOWN);
}

function view(context, state) {
  const { channel, why, history, presence, live: following } = state;
  const live = why.instances.filter((one) => one.channel);
  const sum = (count) => live.reduce((all, one) => all + count(one.channel), 0);
  return [
    why.partial && note("Not every instance has answered: subscribers may be missing."),
    tiles([
      {
        label: "Subscribers",
        value: number(sum(({ subscribers }) => subscribers)),
        more: h("small", {}, `on ${live.length} of ${why.instances.length} instances`),
      },
      {
        label: "Members",
        value: presence.error ? "–" : number(presence.members.length),
        more: presence.error && h("small", {}, "no presence here"),
      },
      {
        label: "Newest offset",
        value: history.error ? "–" : String(history.offset),
        more: !history.error && h("small", {}, history.epoch),
      },
    ]),
    panel({ title: "What was found" }, findings(why.findings)),
    panel(
      { title: "Subscribers" },
      table({
        caption: "Subscribers by instance",
        columns: [
          { label: "Instance", cell: ({ instance }) => instance },
          { label: "Region", text: true, cell: ({ region }) => region },
          { label: "Subscribers", cell: (one) => number(one.channel.subscribers) },
          { label: "Position", cell: (one) => String(one.channel.offset) },
        ],
        rows: live,
        key: ({ instance }) => instance,
        empty: "Nobody is subscribed.",
      }),
    ),
    membersPanel(presence),
    historyPanel(context, { ...state, live: following }),
    troublesPanel(why, channel),
  ];
}

function membersPanel({ error, members, partial }) {
  if (error) return error.code === 108 ? undefined : note(`Presence: ${error.message}.`, "warn");
  return panel(
    { title: "Presence", fact: plural(members.length, "connection") },
    partial && h("p", { class: "none" }, "Redis or an instance did not answer: some may be missing."),
    table({
      caption: "Members",
      columns: [
        {
          label: "User",
          cell: ({ user }) => (user ? h("a", { href: link("users", { user }) }, user) : "anonymous"),
        },
        { label: "Connection", text: true, cell: ({ client }) => h("code", {}, client) },
      ],
      rows: members.slice(0, 200),
      key: ({ client }) => client,
      empty: "Nobody is here.",
    }),
  );
}

function historyPanel(context, { channel, history, payloads, toggle, forget, live }) {
  const kept = !history.error;
  if (!kept && history.error.code !== 108)
    return panel({ title: "History" }, h("p", { class: "none" }, `${history.error.message}.`));
  const remove = async () => {
    const sure = await ask({
      title: "Remove the history?",
      text: `What ${channel} keeps is gone for everybody. Offsets go on rising.`,
      label: "Remove",
    });
    if (!sure) return;
    const done = () => context.call("history_remove", { channel }).finally(forget);
    await context.act(done, "The history is removed.");
  };
  const messages = newest(kept ? history.publications : [], live);
  return panel(
    {
      title: kept ? "History" : "Messages",
      fact: `the newest ${messages.length}${live.running ? ", live" : ""}`,
    },
    !kept && h("p", { class: "none" }, "This namespace keeps no history: what comes is shown."),
    table({
      caption: "Messages",
      columns: [
        { label: "Offset", cell: ({ offset }) => String(offset) },
        { label: "Stored", text: true, cell: ({ time_ms: time }) => time > 0 && clock(time) },
        { label: "Size", cell: (one) => bytes(one.bytes) },
        { label: "Priority", text: true, cell: ({ priority }) => priority ?? "–" },
        {
          label: "Published by",
          text: true,
          cell: ({ user, come }) => (come ? "–" : user === undefined ? "a service" : user || "anonymous"),
        },
        ...(payloads
          ? [
              {
                label: "Message",
                text: true,
                wide: true,
                cell: ({ data, binary }) => h("code", {}, binary ? `base64 ${data}` : data),
              },
            ]
          : []),
      ],
      rows: messages,
      key: ({ offset, time_ms: time }) => `${offset} ${time}`,
      empty: kept ? "Nothing is kept." : "Nothing has come yet.",
    }),
    h(
      "div",
      { class: "buttons inside" },
      context.may("payloads") &&
        h(
          "button",
          { class: "quiet", type: "button", "aria-pressed": String(payloads), onclick: toggle },
          "Show messages (audited)",
        ),
      context.may("act") &&
        kept &&
        history.publications.length > 0 &&
        h("button", { class: "danger", type: "button", onclick: remove }, "Remove history"),
    ),
  );
}

function troublesPanel({ instances }, channel) {
  const troubles = instances
    .flatMap((one) => one.troubles)
    .filter((one) => one.channel === channel)
    .toSorted((one, other) => other.at_ms - one.at_ms);
  return panel(
    { title: "Refusals of late" },
    table({
      caption: "Refusals of late",
      columns: troubleColumns(clock),
      rows: troubles,
      key: ({ at_ms: at, client, code }) => `${at} ${client} ${code}`,
      empty: "None.",
    }),
  );
}

function publishPanel({ act, call }, channel) {
  const submit = async (event) => {
    event.preventDefault();
    const given = new FormData(event.target);
    let data;
    try {
      data = JSON.parse(given.get("data"));
    } catch {
      return act(() => Promise.reject(new Error("The message is no JSON")));
    }
    await act(async () => {
      const { offset } = await call("publish", { channel, data, priority: given.get("priority") });
      return offset > 0 ? `Published, at offset ${offset}.` : "Published; nothing is kept.";
    });
  };
  return panel(
    { title: "Publish" },
    h(
      "form",
      { class: "inside stack", onsubmit: submit },
      field(
        "Message, as JSON",
        ["textarea", { id: "publish-data", name: "data", rows: "3", required: true, spellcheck: "false" }],
        "Everybody who is subscribed gets it.",
      ),
      field("Priority", [
        "select",
        { id: "publish-priority", name: "priority" },
        ...options({ normal: "normal", high: "high", low: "low" }),
      ]),
      h("div", { class: "buttons" }, h("button", { class: "primary", type: "submit" }, "Publish")),
    ),
  );
}
