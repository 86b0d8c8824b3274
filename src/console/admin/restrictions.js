import { ask } from "./ask.js";
import { h } from "./dom.js";
import { clock } from "./format.js";
import { field, link, table } from "./parts.js";

/** Asks for a user, and a channel that they may get nothing of. */
export function userForm({ user = "", channel = "" } = {}) {
  const submit = (event) => {
    event.preventDefault();
    const given = Object.fromEntries(
      [...new FormData(event.target)].filter(([, value]) => value.trim() !== ""),
    );
    location.hash = link("users", given);
  };
  const props = { spellcheck: "false", autocapitalize: "off", autocomplete: "off" };
  return h(
    "form",
    { class: "line", role: "search", onsubmit: submit, "data-key": `search ${user} ${channel}` },
    field("Id of the user", ["input", { id: "user", name: "user", required: true, value: user, ...props }]),
    field("Gets nothing in channel (optional)", [
      "input",
      { id: "channel", name: "channel", value: channel, ...props },
    ]),
    h("button", { class: "primary", type: "submit" }, "Look"),
  );
}

/** What is taken from people, with a way to give it back. */
export function restrictionTable(context, restrictions) {
  const lift = async (one) => {
    if (
      !(await ask({
        title: "Lift it?",
        text: `${whatOf(one)}: allowed again at once.`,
        label: "Lift",
        danger: false,
      }))
    )
      return;
    await context.act(() => context.call("unblock", { id: one.id }), "Lifted.");
  };
  return table({
    caption: "Blocked and revoked",
    columns: [
      { label: "What", cell: whatOf },
      { label: "Since", text: true, cell: ({ created_at: at }) => clock(at * 1000) },
      { label: "Until", text: true, cell: ({ expire_at: at }) => clock(at * 1000) },
      { label: "Reason", text: true, cell: ({ reason }) => reason },
      ...(context.may("act")
        ? [
            {
              label: "Lift",
              hidden: true,
              cell: (one) =>
                h(
                  "button",
                  {
                    class: "quiet",
                    type: "button",
                    "aria-label": `Lift: ${whatOf(one)}`,
                    onclick: () => lift(one),
                  },
                  "Lift",
                ),
            },
          ]
        : []),
    ],
    rows: restrictions,
    key: ({ id }) => id,
    empty: "Nobody is blocked, and nothing is revoked.",
  });
}

function whatOf({ kind, user, channel, address, token_id: token, issued_before: before }) {
  const whose = user ? ` of ${user}` : " of everybody";
  const words = {
    user: () => `user ${user} blocked`,
    address: () => `address ${address} blocked`,
    channel: () => `right${whose} to ${channel}`,
    token: () => `token ${token}`,
    issued: () => `tokens${whose} issued before ${clock(before * 1000)}`,
  };
  return words[kind]?.() ?? kind;
}
