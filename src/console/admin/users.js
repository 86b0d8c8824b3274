import { ask } from "./ask.js";
import { h } from "./dom.js";
import { DURATIONS, endOf, field, options, panel } from "./parts.js";
import { restrictionTable, userForm } from "./restrictions.js";
import { userPage } from "./user.js";

export const title = "Users";
export const every = 5_000;

export function open(context) {
  const user = context.params.get("user");
  return user ? userPage(context, { user, channel: context.params.get("channel") ?? "" }) : listPage(context);
}

function listPage(context) {
  const { call, may } = context;
  let restrictions;
  return {
    async load() {
      ({ restrictions } = await call("restrictions"));
    },
    view: () => [
      h("h1", { "data-key": "title" }, "Users"),
      userForm(),
      restrictions &&
        panel(
          { title: "Blocked and revoked", fact: `${restrictions.length}` },
          restrictionTable(context, restrictions),
          may("act") && blockAddress(context),
        ),
    ],
  };
}

function blockAddress({ act, call }) {
  const submit = async (event) => {
    event.preventDefault();
    const { address, seconds, reason } = Object.fromEntries(new FormData(event.target));
    const sure = await ask({
      title: `Block ${address}?`,
      text: "Everybody from there is disconnected, and nobody may connect.",
      label: "Block",
    });
    if (sure)
      await act(
        () => call("block", { address, expire_at: endOf(seconds), ...(reason && { reason }) }),
        `${address} is blocked.`,
      );
  };
  return h(
    "form",
    { class: "line inside", onsubmit: submit, "data-key": "block address" },
    field("Block an address or a range", [
      "input",
      { id: "address", name: "address", required: true, placeholder: "192.0.2.0/24" },
    ]),
    field("For", ["select", { id: "seconds", name: "seconds" }, ...options(DURATIONS)]),
    field("Reason", ["input", { id: "reason", name: "reason", maxlength: "200" }]),
    h("button", { class: "danger", type: "submit" }, "Block"),
  );
}
