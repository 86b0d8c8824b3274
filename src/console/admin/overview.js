import { ask } from "./ask.js";
import { h } from "./dom.js";
import { Looks, sum } from "./figures.js";
import { bytes, latency, milliseconds, number, percent, plural, span, UNKNOWN } from "./format.js";
import { field, note, options, spark, table, tiles } from "./parts.js";
import { surplus } from "./shares.js";

export const title = "Overview";
export const every = 2_000;

/** Kept while the tab is open: rates are there at once when one comes back. */
const looks = new Looks();

const published = ({ counters }) => counters.publishes;
const received = ({ counters }) => counters.messagesIn;
const delivered = ({ counters }) => counters.deliveries;
const refused = ({ refused: reasons }) => Object.values(reasons).reduce((all, one) => all + one, 0);

export function open(context) {
  const { call, look } = context;
  let answer;
  return {
    async load() {
      const first = !answer;
      answer = await call("overview");
      looks.add(answer);
      for (const { name, value } of whole(answer.instances)) looks.series(name, value);
      // Rates need two looks, and nobody wants to wait for them.
      if (first) setTimeout(look, 700);
    },
    view: () => answer && view(answer, context),
  };
}

/** What is told of the system as a whole. */
function whole(instances) {
  const names = instances.map(({ instance }) => instance);
  const rate = (count) => sum(names.map((name) => looks.rate(name, count)));
  return [
    { name: "connections", value: sum(instances.map(({ connections }) => connections)) },
    { name: "received", value: rate(received) },
    { name: "published", value: rate(published) },
    { name: "delivered", value: rate(delivered) },
    { name: "latency", value: looks.quantile(names, "delivery", 0.99) },
    { name: "refused", value: rate(refused) },
  ];
}

function view({ instances, missing, partial }, context) {
  const regions = Map.groupBy([...instances, ...missing], ({ region }) => region);
  const limit = sum(instances.map(({ connectionsLimit }) => connectionsLimit));
  return [
    h("h1", { "data-key": "title" }, "Overview"),
    partial &&
      note(
        missing.length > 0
          ? `Not everybody has answered: ${missing.map(({ instance, region }) => `${instance} (${region})`).join(", ")}. The figures are without them.`
          : "Some instances may be missing: the list of instances cannot be read now.",
      ),
    tiles(whole(instances).map((one) => tile(one, limit))),
    [...regions.entries()]
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, own]) => region(name, own, context)),
  ];
}

const TILES = {
  connections: { label: "Connections", show: number },
  received: { label: "Commands in", unit: "/s", show: number },
  published: { label: "Published", unit: "/s", show: number },
  delivered: { label: "Delivered", unit: "/s", show: number },
  latency: { label: "Delivery latency p99", show: latency },
  refused: { label: "Refused at the door", unit: "/s", show: number },
};

function tile({ name, value }, limit) {
  const { label, unit = "", show } = TILES[name];
  return {
    label,
    value: value === undefined ? UNKNOWN : `${show(value)}${unit}`,
    more: [
      name === "connections" && limit && h("small", {}, `of ${number(limit)}`),
      spark(looks.series(name, value)),
    ],
  };
}

function region(name, own, context) {
  const answered = own.filter((one) => one.counters);
  const facts = [
    plural(own.length, "instance"),
    plural(sum(answered.map(({ connections }) => connections)) ?? 0, "connection"),
    `${number(sum(answered.map((one) => looks.rate(one.instance, delivered))))} delivered/s`,
  ];
  return h(
    "section",
    { class: "panel", "data-key": `region ${name}`, "aria-labelledby": `region-${name}` },
    h(
      "div",
      { class: "panel-head" },
      h("h2", { id: `region-${name}` }, name),
      h("span", { class: "fact" }, facts.join(" · ")),
    ),
    table({
      caption: `Instances of ${name}`,
      columns: context.may("act") ? [...COLUMNS, moving(context)] : COLUMNS,
      rows: own.toSorted((one, other) => (one.instance < other.instance ? -1 : 1)),
      key: ({ instance }) => instance,
    }),
    context.may("act") && balancing(name, own, context),
  );
}

/** Lets connections of one instance go. */
const moving = (context) => ({
  label: "Move",
  hidden: true,
  cell: ({ instance, counters, connections }) =>
    counters &&
    h(
      "button",
      {
        class: "quiet",
        type: "button",
        "aria-label": `Move connections of ${instance}`,
        disabled: connections === 0,
        onclick: () => move(context, instance, connections),
      },
      "Move …",
    ),
});

const SHARES = { 0.1: "10 %", 0.25: "25 %", 0.5: "50 %", 1: "all" };
const RATES = { 50: "50 a second", 200: "200 a second", 1000: "1,000 a second" };

async function move({ act, call }, instance, connections) {
  const given = await ask({
    title: `Move connections of ${instance}?`,
    text: `It closes some of its ${plural(connections, "connection")}; their clients come back at once, where the balancer sends them. Messages are not lost where the namespace has recovery.`,
    label: "Move",
    fields: [
      field("How many", ["select", { id: "move-share", name: "share" }, ...options(SHARES)]),
      field("Pace", ["select", { id: "move-rate", name: "rate" }, ...options(RATES)]),
    ],
  });
  if (!given) return;
  await act(async () => {
    const begun = await call("move", {
      instance,
      share: Number(given.share),
      per_second: Number(given.rate),
    });
    return told(instance, begun);
  });
}

const told = (instance, { connections, seconds }) =>
  `${instance} lets ${plural(connections, "connection")} go, within ${seconds} s.`;

/** How far above the mean an instance may be before it lets go: as `trunkline rebalance` has it. */
const TOLERANCE = 0.1;

/** Has those with too many connections let go of what is too much. */
function balancing(name, own, { act, call }) {
  const silent = own.filter(({ counters }) => !counters);
  const plan = surplus(own, TOLERANCE).filter(({ tooMany }) => tooMany > 0);
  if (plan.length === 0 && silent.length === 0) return undefined;
  const begin = async () => {
    const sure = await ask({
      title: `Rebalance ${name}?`,
      text: `${plan.map(({ instance, tooMany }) => `${instance} lets ${plural(tooMany, "connection")} go`).join(", ")}. The balancer must choose the instance with the fewest.`,
      label: "Rebalance",
    });
    if (!sure) return;
    await act(async () => {
      const begun = await Promise.all(
        plan.map(async ({ instance, connections, tooMany }) =>
          told(instance, await call("move", { instance, share: tooMany / connections })),
        ),
      );
      return begun.join(" ");
    });
  };
  const why = silent.length > 0 && "Not everybody answers: the shares are not known.";
  return h(
    "div",
    { class: "buttons inside", "data-key": "balance" },
    h(
      "button",
      { class: "quiet", type: "button", disabled: Boolean(why), onclick: begin },
      `Rebalance ${name} …`,
    ),
    why && h("span", { class: "help" }, why),
  );
}

const COLUMNS = [
  { label: "Instance", cell: ({ instance }) => instance },
  { label: "State", text: true, cell: (one) => stateOf(one) },
  { label: "Connections", cell: (one) => one.counters && filled(one) },
  { label: "Users", cell: ({ users }) => number(users) },
  { label: "Commands/s", cell: (one) => one.counters && number(looks.rate(one.instance, received)) },
  { label: "Delivered/s", cell: (one) => one.counters && number(looks.rate(one.instance, delivered)) },
  {
    label: "Latency p50 / p99",
    cell: ({ instance }) =>
      `${latency(looks.quantile([instance], "delivery", 0.5))} / ${latency(looks.quantile([instance], "delivery", 0.99))}`,
  },
  { label: "Memory", cell: ({ residentBytes }) => bytes(residentBytes) },
  {
    label: "Loop delay",
    cell: ({ loopDelayMs }) => (loopDelayMs === undefined ? UNKNOWN : milliseconds(loopDelayMs)),
  },
  {
    label: "Up",
    cell: ({ uptimeMs, version }) =>
      uptimeMs !== undefined && [`${span(uptimeMs)} `, h("small", {}, version)],
  },
];

function filled({ connections, connectionsLimit }) {
  const share = connectionsLimit > 0 ? connections / connectionsLimit : 0;
  return [
    number(connections),
    h("small", {}, ` ${percent(share)}`),
    h(
      "span",
      { class: "bar-of", "aria-hidden": "true" },
      h("i", { style: { "--share": `${Math.min(1, share) * 100}%` }, class: share > 0.8 && "much" }),
    ),
  ];
}

/** How an instance is, the worst first. */
function stateOf({ counters, draining, overload, broker, presence, unready, gauges }) {
  const words = [];
  if (!counters) words.push(["bad", "does not answer"]);
  else {
    if (broker.state !== "connected")
      words.push(["bad", `without NATS for ${span(Date.now() - broker.sinceMs)}`]);
    if (overload === "refusing") words.push(["bad", "overloaded, refuses clients"]);
    if (gauges.storageFull > 0) words.push(["bad", "nothing can be stored"]);
    if (draining) words.push(["warn", "draining"]);
    if (overload === "shedding") words.push(["warn", "overloaded, sheds"]);
    if (presence.state !== "ok") words.push(["warn", "presence is partial"]);
    if (words.length === 0 && unready.length > 0) words.push(["warn", unready.join(", ")]);
    if (words.length === 0) words.push(["good", "ready"]);
  }
  return words.map(([tone, text]) => h("span", { class: `tone ${tone}` }, text));
}
