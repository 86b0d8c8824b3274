import { ask } from "./ask.js";
import { h } from "./dom.js";
import { bytes, clock, number, plural } from "./format.js";
import { field, findings, link, note, options, panel, table, tiles, troubleColumns } from "./parts.js";

/** Messages that are shown at once. */
const SHOWN = 20;

/** One channel: who has it, what it keeps, and what can be done with it. */
export function channelPage(context, channel) {
  const { call, may } = context;
  const toggle = () => {
    state.payloads = !state.payloads;
    void context.look();
  };
  const state = { channel, payloads: false, toggle };
  return {
    async load() {
      const asked = (method, params) => call(method, { channel, ...params }).catch((error) => ({ error }));
      const why = call("why", { channel });
      const [history, presence] = await Promise.all([
        asked("history", { limit: SHOWN, payloads: state.payloads }),
        asked("presence"),
      ]);
      Object.assign(state, { history, presence, why: await why });
    },
    view: () => [
      h("h1", { "data-key": "title" }, channel),
      h(
        "p",
        { "data-key": "trace" },
        h("a", { href: link("trace", { channel }) }, "Trace this channel live"),
      ),
      state.why && view(context, state),
      state.why && may("act") && publishPanel(context, channel),
    ],
  };
}

function view(context, { channel, why, history, presence, payloads, toggle }) {
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
    historyPanel(context, { channel, history, payloads, toggle }),
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

function historyPanel(context, { channel, history, payloads, toggle }) {
  if (history.error) {
    return panel(
      { title: "History" },
      h(
        "p",
        { class: "none" },
        history.error.code === 108 ? "This namespace keeps no history." : `${history.error.message}.`,
      ),
    );
  }
  const remove = async () => {
    const sure = await ask({
      title: "Remove the history?",
      text: `What ${channel} keeps is gone for everybody. Offsets go on rising.`,
      label: "Remove",
    });
    if (sure) await context.act(() => context.call("history_remove", { channel }), "The history is removed.");
  };
  return panel(
    { title: "History", fact: `the newest ${history.publications.length}` },
    table({
      caption: "Messages",
      columns: [
        { label: "Offset", cell: ({ offset }) => String(offset) },
        { label: "Stored", text: true, cell: ({ time_ms: time }) => time > 0 && clock(time) },
        { label: "Size", cell: (one) => bytes(one.bytes) },
        { label: "Priority", text: true, cell: ({ priority }) => priority },
        {
          label: "Published by",
          text: true,
          cell: ({ user }) => (user === undefined ? "a service" : user || "anonymous"),
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
      rows: history.publications,
      key: ({ offset }) => String(offset),
      empty: "Nothing is kept.",
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
