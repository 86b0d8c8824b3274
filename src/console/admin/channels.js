import { channelPage } from "./channel.js";
import { h } from "./dom.js";
import { number, plural } from "./format.js";
import { field, link, note, panel, table } from "./parts.js";

export const title = "Channels";
export const every = 5_000;

export function open(context) {
  const channel = context.params.get("channel");
  return channel ? channelPage(context, channel) : searchPage(context);
}

function searchPage({ call, params }) {
  const search = params.get("search") ?? "";
  let answer;
  return {
    async load() {
      answer = await call("channels", { pattern: search && (search.includes("*") ? search : `*${search}*`) });
    },
    view: () => [
      h("h1", { "data-key": "title" }, "Channels"),
      searchForm(search),
      answer && found(answer, search),
    ],
  };
}

function searchForm(search) {
  const submit = (event) => {
    event.preventDefault();
    location.hash = link("channels", { search: new FormData(event.target).get("search").trim() });
  };
  return h(
    "form",
    { class: "line", role: "search", onsubmit: submit, "data-key": "search" },
    field("Name of the channel, or a part of it", [
      "input",
      {
        id: "search",
        name: "search",
        value: search,
        spellcheck: "false",
        autocapitalize: "off",
        autocomplete: "off",
      },
    ]),
    h("button", { class: "primary", type: "submit" }, "Search"),
  );
}

function found({ channels, total, partial }, search) {
  const more = total > channels.length ? `, ${channels.length} shown` : "";
  return [
    partial && note("Not every instance has answered: channels and subscribers may be missing."),
    panel(
      { title: "With subscribers", fact: `${plural(total, "channel")}${more}` },
      table({
        caption: "Channels with subscribers",
        columns: [
          {
            label: "Channel",
            cell: ({ channel }) => h("a", { href: link("channels", { channel }) }, channel),
          },
          { label: "Subscribers", cell: ({ clients }) => number(clients) },
        ],
        rows: channels,
        key: ({ channel }) => channel,
        empty: "No channel with subscribers has this in its name.",
      }),
    ),
    search &&
      !search.includes("*") &&
      h(
        "p",
        { "data-key": "exact" },
        h("a", { href: link("channels", { channel: search }) }, `Open ${search}`),
        ", with or without subscribers.",
      ),
  ];
}
