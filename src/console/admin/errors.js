import { h } from "./dom.js";
import { Looks, sum } from "./figures.js";
import { clock, number, span } from "./format.js";
import { note, panel, table, troubleColumns } from "./parts.js";

export const title = "Errors";
export const every = 3_000;

const looks = new Looks();

export function open({ call }) {
  let overview;
  let troubles;
  return {
    async load() {
      [overview, troubles] = await Promise.all([call("overview"), call("troubles")]);
      looks.add(overview);
    },
    view: () => overview && view(overview, troubles),
  };
}

/** Connections that end in order: no errors. */
const IN_ORDER = new Set(["1000", "1001", "3000"]);

function view({ instances, partial }, { troubles, codes }) {
  const ended = counted(instances, "closes");
  return [
    h("h1", { "data-key": "title" }, "Errors"),
    partial && note("Not every instance has answered: the figures are without those."),
    h(
      "div",
      { class: "columns", "data-key": "columns" },
      counts({
        title: "Commands refused",
        head: "Code",
        rows: counted(instances, "errors"),
        nameOf: (code) => codes.errors[code],
      }),
      counts({
        title: "Connections ended",
        head: "Code",
        rows: ended.filter(({ label }) => !IN_ORDER.has(label)),
        nameOf: (code) => codes.closes[code] ?? CLOSES[code],
      }),
      counts({
        title: "Limits hit and refused at the door",
        head: "Reason",
        rows: counted(instances, "refused"),
        nameOf: (reason) => REASONS[reason],
      }),
    ),
    panel(
      { title: "Newest", fact: `${troubles.length}, up to 20 of each instance` },
      table({
        caption: "Newest refusals and ends of connections",
        columns: [
          ...troubleColumns(clock),
          { label: "Instance", text: true, cell: ({ instance, region }) => `${instance} (${region})` },
        ],
        rows: troubles.slice(0, 100),
        key: ({ atMs, client, what, code, instance }) => `${atMs} ${client} ${what} ${code} ${instance}`,
        empty: "Nothing was refused of late.",
      }),
    ),
  ];
}

const CLOSES = { 1006: "gone without a word", other: "another code" };
const REASONS = {
  origin: "page of a foreign origin",
  ip_rate: "connects a second of one address",
  ip_cap: "connections of one address",
  instance_cap: "the instance is full",
  overload: "the instance is overloaded",
  draining: "the instance is draining",
  deadline: "did not say who it is in time",
  request_rate: "requests a second of one address",
  api_key: "wrong API key, signature or token",
  api_key_rate: "too many wrong keys",
  blocked: "blocked address",
};

function counted(instances, kind) {
  const labels = new Set(instances.flatMap((one) => Object.keys(one[kind])));
  return [...labels]
    .map((label) => {
      const count = (one) => one[kind][label] ?? 0;
      const since = instances.map(({ instance }) => looks.since(instance, count));
      return {
        label,
        all: sum(instances.map(count)),
        late: sum(since.map(({ more }) => more)),
        ms: Math.max(...since.map(({ ms }) => ms)),
      };
    })
    .toSorted((one, other) => other.late - one.late || other.all - one.all);
}

function counts({ title: heading, head, rows, nameOf }) {
  const watched = Math.max(0, ...rows.map(({ ms }) => ms));
  return panel(
    { title: heading },
    table({
      caption: heading,
      columns: [
        { label: head, cell: ({ label }) => [label, nameOf(label) && h("small", {}, ` ${nameOf(label)}`)] },
        {
          label: watched > 0 ? `Last ${span(watched)}` : "Just now",
          cell: ({ late }) => h("span", { class: late > 0 && "bad-text" }, number(late)),
        },
        { label: "Since the start", cell: ({ all }) => number(all) },
      ],
      rows,
      key: ({ label }) => label,
      empty: "None.",
    }),
  );
}
