import { ask } from "./ask.js";
import { h } from "./dom.js";
import { ago, clock, number } from "./format.js";
import { link, panel, table } from "./parts.js";

export const title = "Webhooks";
export const every = 5_000;

export function open(context) {
  const { call, params } = context;
  const chosen = params.get("line");
  let lines;
  let problem;
  let events;
  return {
    async load() {
      try {
        ({ lines } = await call("outbox"));
        if (chosen && context.may("payloads"))
          ({ events } = await call("outbox_look", { line: chosen, limit: 50 }));
      } catch (error) {
        // Nobody has set one up.
        if (error.code !== 108) throw error;
        problem = "There are no webhooks in the settings.";
      }
    },
    view: () => [
      h("h1", { "data-key": "title" }, "Webhooks"),
      problem && h("p", { class: "notice", "data-key": "none" }, problem),
      lines &&
        panel(
          { title: "Lines", fact: String(lines.length) },
          table({
            caption: "Lines of webhooks",
            columns: columns(context),
            rows: lines,
            key: ({ line }) => line,
          }),
        ),
      events && asidePanel(context, chosen, events),
    ],
  };
}

const columns = (context) => [
  { label: "Line", cell: ({ line }) => line },
  {
    label: "To",
    text: true,
    cell: ({ host }) => host ?? h("span", { class: "tone warn" }, "no webhook has it any more"),
  },
  { label: "Waiting, events", cell: ({ waiting }) => number(waiting) },
  {
    label: "Lag",
    text: true,
    cell: ({ oldest_at: at }) => (at === undefined ? "none" : `oldest ${ago(at * 1000)}`),
  },
  {
    label: "Set aside, events",
    cell: ({ set_aside: aside }) => h("span", { class: aside > 0 && "bad-text" }, number(aside)),
  },
  {
    label: "Actions",
    hidden: true,
    cell: ({ line, host, set_aside: aside }) =>
      aside > 0 &&
      h(
        "div",
        { class: "buttons" },
        context.may("payloads") &&
          h(
            "a",
            {
              class: "button quiet",
              href: link("webhooks", { line }),
              "aria-label": `Show what ${line} has set aside`,
            },
            "Show",
          ),
        context.may("act") &&
          host &&
          h(
            "button",
            {
              class: "quiet",
              type: "button",
              "aria-label": `Replay all of ${line}`,
              onclick: () => replay(context, line),
            },
            "Replay all",
          ),
      ),
  },
];

async function replay({ act, call }, line, id) {
  const which = id === undefined ? "All events that were set aside are" : `Event ${id} is`;
  const sure = await ask({
    title: "Replay?",
    text: `${which} sent again, after what waits. An endpoint may get an event twice.`,
    label: "Replay",
    danger: false,
  });
  if (!sure) return;
  await act(async () => {
    const { replayed } = await call("outbox_replay", { line, ...(id !== undefined && { id }) });
    return `Put back: ${number(replayed)}.`;
  });
}

function asidePanel(context, line, events) {
  return panel(
    { title: `Set aside in ${line}`, fact: `the oldest ${events.length}` },
    table({
      caption: "Events that were set aside",
      columns: [
        { label: "Event", cell: ({ id }) => h("code", {}, id) },
        { label: "Happened", text: true, cell: ({ created_at: at }) => clock(at * 1000) },
        { label: "Set aside", text: true, cell: ({ failed_at: at }) => at && clock(at * 1000) },
        { label: "Tries", cell: ({ tries }) => tries !== undefined && number(tries) },
        { label: "Why", text: true, cell: ({ reason }) => reason },
        { label: "What", text: true, wide: true, cell: ({ event }) => h("code", {}, JSON.stringify(event)) },
        ...(context.may("act")
          ? [
              {
                label: "Replay",
                hidden: true,
                cell: ({ id }) =>
                  h(
                    "button",
                    {
                      class: "quiet",
                      type: "button",
                      "aria-label": `Replay ${id}`,
                      onclick: () => replay(context, line, id),
                    },
                    "Replay",
                  ),
              },
            ]
          : []),
      ],
      rows: events,
      key: ({ id }) => id,
      empty: "Nothing is set aside.",
    }),
  );
}
