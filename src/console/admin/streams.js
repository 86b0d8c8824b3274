import { h } from "./dom.js";
import { ago, bytes, number, percent } from "./format.js";
import { note, panel, table } from "./parts.js";

export const title = "Streams";
export const every = 15_000;

export function open({ call }) {
  let answer;
  return {
    async load() {
      answer = await call("streams");
    },
    view: () => [h("h1", { "data-key": "title" }, "Streams and copies"), answer && [...view(answer.streams)]],
  };
}

function* view(streams) {
  if (!streams)
    return yield note("The embedded broker keeps messages in its own memory: there are no streams.");
  for (const { stream, missing } of streams) if (missing) yield note(`${stream}: ${missing}.`, "bad");
  for (const { stream, disagreeAt } of streams) {
    if (disagreeAt !== undefined)
      yield note(`${stream}: the replicas disagree at sequence ${disagreeAt}; see the runbook.`, "bad");
  }
  const there = streams.filter(({ missing }) => !missing);
  yield panel(
    { title: "Streams", fact: `${there.length} of ${streams.length}` },
    table({
      caption: "Streams",
      columns: COLUMNS,
      rows: there,
      key: ({ stream }) => stream,
      empty: "No namespace keeps a history.",
    }),
  );
  const copies = there.flatMap(({ stream, copies: own }) => own.map((copy) => ({ ...copy, of: stream })));
  yield panel(
    { title: "Copies in other regions", fact: String(copies.length) },
    table({
      caption: "Copies",
      columns: COPIES,
      rows: copies,
      key: ({ stream }) => stream,
      empty: "None: each stream is in one place.",
    }),
  );
}

const COLUMNS = [
  { label: "Stream", cell: ({ stream }) => stream },
  { label: "Messages", cell: ({ messages }) => number(messages) },
  { label: "Bytes", cell: ({ bytes: size }) => bytes(size) },
  {
    label: "Full",
    cell: ({ full }) =>
      full === undefined ? "no limit" : h("span", { class: full > 0.8 && "warn-text" }, percent(full)),
  },
  { label: "Sequences", cell: ({ firstSequence, lastSequence }) => `${firstSequence} to ${lastSequence}` },
  { label: "Newest", text: true, cell: ({ tail }) => tail?.stored && ago(Date.parse(tail.stored)) },
  {
    label: "Life",
    text: true,
    cell: ({ life, named }) => [h("code", {}, life), !named && h("small", {}, " not written down")],
  },
  {
    label: "Cuts",
    cell: ({ cuts, aliases }) => [
      number(cuts),
      aliases.map(({ id, fork, mark }) =>
        h(
          "small",
          { class: "doc" },
          mark === 0 ? `${id} ended by an operator` : `${id} up to ${fork}, cut at ${mark}`,
        ),
      ),
    ],
  },
  {
    label: "Replicas",
    text: true,
    cell: ({ leader, replicas }) =>
      leader
        ? [
            `led by ${leader}`,
            replicas.map(({ name, current, lag }) =>
              h("small", { class: "doc" }, `${name} ${current ? "current" : `${lag} behind`}`),
            ),
          ]
        : "one",
  },
];

const COPIES = [
  { label: "Copy", cell: ({ stream }) => stream },
  { label: "Of", text: true, cell: ({ of }) => of },
  { label: "Region", text: true, cell: ({ region }) => region },
  { label: "Lag, messages", cell: ({ lag }) => h("span", { class: lag > 0 && "warn-text" }, number(lag)) },
  {
    label: "Life",
    text: true,
    cell: ({ life, current }) => [
      h("code", {}, life),
      !current && h("span", { class: "tone bad" }, "of another life, made anew"),
    ],
  },
];
