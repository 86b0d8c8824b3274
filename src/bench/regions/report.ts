import { scaleBand, scaleLinear } from "d3-scale";
import { machine } from "../machine.ts";
import { COLOURS, n, picture, text } from "../svg.ts";
import type { RegionsOptions, RegionsOutcome, Spread } from "./regions.ts";

/** A table of a report; the first row is its header. */
export type Table = readonly (readonly string[])[];

/** The three tables: publishing, delivery, and links with copies. */
export function regionTables({ home, publishers, pairs, links }: RegionsOutcome): Table[] {
  const listeners = Object.keys(links[0]?.bytes ?? {});
  return [
    [
      ["publish in", "accepted (server API)", "JetStream's own ack"],
      ...publishers.map(({ from, ack, plainAck }) => [
        from === home ? `${from} (home)` : from,
        show(ack),
        show(plainAck),
      ]),
    ],
    [
      [
        "from",
        "to",
        "round trip",
        "delivered to a client",
        "NATS: stored and republished",
        "NATS: not stored",
      ],
      ...pairs.map(({ from, to, roundTripMs, delivered, republished, plain }) => [
        ...[from, to, `${roundTripMs} ms`],
        ...[show(delivered), show(republished), show(plain)],
      ]),
    ],
    [
      [
        "link",
        ...listeners.map((count) => `bytes, ${count} listener${count === "1" ? "" : "s"}`),
        "copy behind",
      ],
      ...links.map(({ from, to, bytes, mirrorLag }) => [
        `${from} – ${to}`,
        ...listeners.map((count) => Math.round(bytes[Number(count)]!).toLocaleString("en")),
        show(mirrorLag),
      ]),
    ],
  ];
}

/** Remarks that readers need in addition to the tables. */
export function regionNotes({ messages, ratePerSecond }: RegionsOptions, outcome: RegionsOutcome): string[] {
  const { cpu, cores, system, runtime } = machine();
  return [
    "times are p50 / p99 in ms, by one clock; publishers publish to the home whichever region they are in",
    `${messages} messages of each kind from each region, ${ratePerSecond} a second; bytes for each message of 1 kB published at the home, all that crosses the link to that region meanwhile`,
    `${cores} cores (${cpu}), ${system}, ${runtime}, nats-server ${outcome.natsVersion}; all regions share the machine`,
    ...(outcome.lost > 0 ? [`${outcome.lost} messages did not arrive`] : []),
  ];
}

/** The outcome as data, with the machine it was measured on. */
export function regionsJson(options: RegionsOptions, outcome: RegionsOutcome): object {
  return {
    at: new Date().toISOString(),
    machine: machine(),
    options,
    ...outcome,
    notes: regionNotes(options, outcome),
  };
}

const ROW = 44;
const LEFT = 110;
const WIDTH = 640;
const TOP = 60;

/** Median delivery times for each pair, next to plain NATS. */
export function regionsSvg({ pairs }: RegionsOutcome): string {
  const kinds = [
    ["plain", "NATS: not stored"],
    ["republished", "NATS: stored and republished"],
    ["delivered", "delivered to a client"],
  ] as const;
  const most = Math.max(...pairs.flatMap((pair) => kinds.map(([kind]) => pair[kind].p50)));
  const x = scaleLinear([0, most || 1], [LEFT, WIDTH - 70]);
  const y = scaleBand(
    pairs.map(({ from, to }) => `${from} → ${to}`),
    [TOP, TOP + pairs.length * ROW],
  ).padding(0.2);
  const height = y.bandwidth() / kinds.length;
  const legend = kinds.map(([, label], index) =>
    text(LEFT + index * 175, 46, label, `fill="${COLOURS[index]}" font-weight="600"`),
  );
  const bars = pairs.flatMap((pair) => {
    const top = y(`${pair.from} → ${pair.to}`)!;
    return [
      text(LEFT - 6, top + y.bandwidth() / 2 + 4, `${pair.from} → ${pair.to}`, 'text-anchor="end"'),
      ...kinds.map(([kind], index) => {
        const end = x(pair[kind].p50);
        const at = top + index * height;
        return (
          `<rect x="${LEFT}" y="${n(at)}" width="${n(end - LEFT)}" height="${n(height)}" fill="${COLOURS[index]}"/>` +
          text(end + 4, at + height - 2, `${n(pair[kind].p50)} ms`)
        );
      }),
    ];
  });
  return picture("publish to arrived, p50", WIDTH, TOP + pairs.length * ROW + 16, [...legend, ...bars]);
}

function show({ p50, p99 }: Spread): string {
  return [p50, p99].map((ms) => (ms < 10 ? ms.toFixed(2) : ms.toFixed(0))).join(" / ");
}
