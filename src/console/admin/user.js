import { ask } from "./ask.js";
import { h } from "./dom.js";
import { ago, bytes, clock, span } from "./format.js";
import {
  DURATIONS,
  endOf,
  field,
  findings,
  link,
  note,
  options,
  panel,
  table,
  troubleColumns,
} from "./parts.js";
import { restrictionTable, userForm } from "./restrictions.js";

/** One user: where they are, why they get nothing, and what can be done about them. */
export function userPage(context, { user, channel }) {
  const { call, may } = context;
  let why;
  let restrictions = [];
  return {
    async load() {
      const [answer, all] = await Promise.all([
        call("why", { user, ...(channel && { channel }) }),
        call("restrictions"),
      ]);
      why = answer;
      restrictions = all.restrictions.filter((one) => one.user === user);
    },
    view: () => [
      h("h1", { "data-key": "title" }, user),
      userForm({ user, channel }),
      h(
        "p",
        { "data-key": "trace" },
        h("a", { href: link("trace", { user, ...(channel && { channel }) }) }, `Trace ${user} live`),
      ),
      why && [
        why.partial && note("Not every instance has answered: connections may be missing."),
        panel({ title: channel ? `Why nothing in ${channel}?` : "What was found" }, findings(why.findings)),
        connections(context, user, why),
        may("act") && acts(context, { user, channel }),
        restrictions.length > 0 && panel({ title: "Taken away" }, restrictionTable(context, restrictions)),
        panel(
          { title: "Refusals and ends of late" },
          table({
            caption: "Refusals and ends of late",
            columns: troubleColumns(clock).filter(({ label }) => label !== "User"),
            rows: troublesOf(why, user),
            key: ({ at_ms: at, client, code }) => `${at} ${client} ${code}`,
            empty: "None.",
          }),
        ),
      ],
    ],
  };
}

const troublesOf = ({ instances }, user) =>
  instances
    .flatMap((one) => one.troubles)
    .filter((one) => one.user === user)
    .toSorted((one, other) => other.at_ms - one.at_ms);

function connections({ act, call, may }, user, { instances }) {
  const all = instances.flatMap(({ instance, region, connections: own }) =>
    own.map((one) => ({ ...one, instance, region })),
  );
  const close = (client) => act(() => call("disconnect", { user, client }), "Disconnected.");
  return panel(
    { title: "Connections", fact: String(all.length) },
    table({
      caption: "Connections",
      columns: [
        { label: "Connection", cell: ({ client }) => h("code", {}, client) },
        { label: "Instance", text: true, cell: ({ instance, region }) => `${instance} (${region})` },
        { label: "SDK", text: true, cell: ({ library, protocol }) => library ?? protocol },
        { label: "Transport", text: true, cell: ({ transport }) => transport },
        { label: "Address", text: true, cell: ({ address }) => address },
        { label: "Since", text: true, cell: ({ since_ms: at }) => ago(at) },
        { label: "Last heard", text: true, cell: ({ silent_ms: ms }) => `${span(ms)} ago` },
        { label: "Unsent", cell: ({ unsent_bytes: unsent }) => bytes(unsent) },
        { label: "Subscriptions", cell: ({ subscriptions }) => String(subscriptions) },
        ...(may("act")
          ? [
              {
                label: "Disconnect",
                hidden: true,
                cell: ({ client }) =>
                  h(
                    "button",
                    {
                      class: "quiet",
                      type: "button",
                      "aria-label": `Disconnect ${client}`,
                      onclick: () => close(client),
                    },
                    "Disconnect",
                  ),
              },
            ]
          : []),
      ],
      rows: all,
      key: ({ client }) => client,
      empty: "No connection.",
    }),
  );
}

function acts({ act, call }, { user, channel }) {
  const lasting = () => [
    field("For", ["select", { name: "seconds" }, ...options(DURATIONS)]),
    field("Reason, for the audit", ["input", { name: "reason", maxlength: "200" }]),
  ];
  const taking = async (question, method, params, done) => {
    const given = await ask({ ...question, fields: lasting() });
    if (!given) return;
    const { seconds, reason } = given;
    await act(() => call(method, { ...params, expire_at: endOf(seconds), ...(reason && { reason }) }), done);
  };
  const buttons = {
    "Disconnect all": async () => {
      const sure = await ask({
        title: `Disconnect ${user}?`,
        text: "All connections are closed; the SDK does not come back by itself.",
        label: "Disconnect",
      });
      if (sure) await act(() => call("disconnect", { user }), `${user} is disconnected.`);
    },
    Block: () =>
      taking(
        { title: `Block ${user}?`, text: "Disconnected at once, and may not connect.", label: "Block" },
        "block",
        { user },
        `${user} is blocked.`,
      ),
    "Revoke tokens": () =>
      taking(
        {
          title: `Revoke the tokens of ${user}?`,
          text: "Tokens issued up to now count no more; with a new one they may connect.",
          label: "Revoke",
        },
        "revoke",
        { user },
        `The tokens of ${user} are revoked.`,
      ),
    ...(channel && {
      [`Take ${channel} away`]: () =>
        taking(
          {
            title: `Take ${channel} from ${user}?`,
            text: "The subscription ends at once, and is refused from now on.",
            label: "Take away",
          },
          "revoke",
          { user, channel },
          `${user} has no right to ${channel} now.`,
        ),
    }),
  };
  return panel(
    { title: "Act" },
    h(
      "div",
      { class: "buttons inside" },
      Object.entries(buttons).map(([label, onclick]) =>
        h("button", { class: "danger", type: "button", onclick, "data-key": label }, label),
      ),
    ),
  );
}
