import type { LinkSample, RegionSample, Sample } from "../world/watch.ts";
import { columns, paint } from "./output.ts";

export interface ViewFacts {
  /** The page of this world. */
  readonly pageUrl: string;
  /** The last things that happened, the newest last. */
  readonly events: readonly string[];
}

const LAMPS = { up: "●", partial: "◐", down: "○" } as const;
const STATE_STYLES = { up: "green", partial: "yellow", down: "red" } as const;

/** The whole view of a terminal, redrawn each second. */
export function fullView(sample: Sample, { pageUrl, events }: ViewFacts): string {
  return [
    "",
    `  ${paint("bold", "Trunkline")}, a world of ${sample.regions.length} regions   ${leaderText(sample)}`,
    ...troubles(sample).map((trouble) => `  ${paint("red", trouble)}`),
    "",
    indent(regionTable(sample.regions)),
    "",
    indent(linkTable(sample.links)),
    "",
    `  World page  ${paint("cyan", pageUrl)}`,
    ...sample.regions.map(({ name, instances }) => `  Demo ${name}    ${instances[0]!.url}`),
    ...(events.length > 0 ? ["", ...events.map((event) => `  ${paint("dim", event)}`)] : []),
    "",
    `  ${paint("dim", "Ctrl+C ends it all.")}`,
  ].join("\n");
}

/** One line for those who cannot redraw. */
export function lineView(sample: Sample): string {
  const regions = sample.regions.map((region) => {
    const { connections, deliveries } = sums(region);
    return `${region.name} ${region.state} ${connections} conn ${round(deliveries)} msg/s${lagText(region)}`;
  });
  const links = sample.links.map(({ a, b, natsBytesPerSecond: [there, back], state }) =>
    state === "open" ? `${a}-${b} ${bytes(there + back)}/s` : `${a}-${b} ${state}`,
  );
  return [...regions, ...links, ...(sample.meta?.leader ? [] : ["no JetStream quorum"])].join(" | ");
}

function leaderText({ meta }: Sample): string {
  return meta?.leader ? paint("dim", `JetStream led by ${meta.leader}`) : "";
}

function troubles({ meta, redis }: Sample): string[] {
  return [
    ...(meta?.leader ? [] : ["JetStream has no quorum: nothing can be made or found until most are up"]),
    ...(redis.alive ? [] : [`Redis in ${redis.region} is down: presence is each instance's own`]),
  ];
}

function regionTable(regions: readonly RegionSample[]): string {
  const head = ["", "region", "city", "instances", "connections", "msg/s", "sent/s", "mirror lag"];
  const rows = regions.map((region) => {
    const { connections, deliveries, publishes, alive } = sums(region);
    return {
      state: region.state,
      cells: [
        LAMPS[region.state],
        region.name,
        region.city,
        `${alive}/${region.instances.length}${region.nats.alive ? "" : ", no NATS"}`,
        String(connections),
        round(deliveries),
        round(publishes),
        region.mirrors.length > 0 ? String(Math.max(...region.mirrors.map(({ lag }) => lag))) : "–",
      ],
    };
  });
  const [first = "", ...lines] = columns([head, ...rows.map(({ cells }) => cells)]).split("\n");
  const lit = lines.map((line, index) => {
    const { state } = rows[index]!;
    return line.replace(LAMPS[state], paint(STATE_STYLES[state], LAMPS[state]));
  });
  return [paint("dim", first), ...lit].join("\n");
}

function linkTable(links: readonly LinkSample[]): string {
  const head = ["link", "round trip", "there", "back", "state"];
  const rows = links.map(({ a, b, roundTripMs, natsBytesPerSecond: [there, back], state }) => [
    `${a} – ${b}`,
    `${roundTripMs} ms`,
    `${bytes(there)}/s`,
    `${bytes(back)}/s`,
    state,
  ]);
  const [first = "", ...lines] = columns([head, ...rows]).split("\n");
  const lit = lines.map((line) => line.replace(/(cut|silent)$/, (state) => paint("red", state)));
  return [paint("dim", first), ...lit].join("\n");
}

function sums({ instances }: RegionSample) {
  const of = (name: "connections" | "deliveriesPerSecond" | "publishesPerSecond") =>
    instances.reduce((total, instance) => total + (instance[name] ?? 0), 0);
  return {
    alive: instances.filter(({ alive }) => alive).length,
    connections: of("connections"),
    deliveries: of("deliveriesPerSecond"),
    publishes: of("publishesPerSecond"),
  };
}

function lagText({ mirrors }: RegionSample): string {
  return mirrors.length > 0 ? ` lag ${Math.max(...mirrors.map(({ lag }) => lag))}` : "";
}

function indent(text: string): string {
  return text.replace(/^/gm, "  ");
}

function round(perSecond: number): string {
  return perSecond < 10 ? String(Math.round(perSecond * 10) / 10) : String(Math.round(perSecond));
}

const UNITS = ["B", "kB", "MB", "GB"];

/** As people write it: 1.2 kB. */
function bytes(count: number): string {
  const power = count < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(count) / 3));
  return `${round(count / 1000 ** power)} ${UNITS[power]}`;
}
