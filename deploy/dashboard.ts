/** Prints `deploy/monitoring/grafana.json`: `bun deploy/dashboard.ts > deploy/monitoring/grafana.json`. */
import { CONNECTIONS, LATENCY, LIMITS, MESSAGES, OVERVIEW } from "./dashboard/clients.ts";
import type { Panel, Query } from "./dashboard/panel.ts";
import { NATS, RECOVERY, REDIS, REGIONS, RUNTIME, SERVICES } from "./dashboard/system.ts";

const ROWS: readonly (readonly [title: string, panels: readonly Panel[]])[] = [
  ["Overview", OVERVIEW],
  ["Connections", CONNECTIONS],
  ["Messages", MESSAGES],
  ["Latency", LATENCY],
  ["Recovery", RECOVERY],
  ["NATS", NATS],
  ["Redis", REDIS],
  ["Regions", REGIONS],
  ["Services: callouts, events, webhooks", SERVICES],
  ["Limits and abuse", LIMITS],
  ["Runtime", RUNTIME],
];

const DOCS = "https://github.com/trunkline/trunkline/blob/main/docs";
const SOURCE = { type: "prometheus", uid: "$" + "{datasource}" };
const WIDTH = 24;
const SIZES = { stat: { w: 4, h: 4 }, timeseries: { w: 8, h: 8 } };

/** Where the value turns yellow and red, or green when more is better. */
function thresholds({ warn, bad }: Panel) {
  if (bad === undefined) return { mode: "absolute", steps: [{ color: "green", value: null }] };
  const lowIsBad = warn !== undefined && warn > bad;
  const steps = lowIsBad
    ? [
        { color: "red", value: null },
        { color: "yellow", value: bad },
        { color: "green", value: warn },
      ]
    : [
        { color: "green", value: null },
        ...(warn === undefined ? [] : [{ color: "yellow", value: warn }]),
        { color: "red", value: bad },
      ];
  return { mode: "absolute", steps };
}

const target = ([expr, legendFormat]: Query, index: number) => ({
  refId: String.fromCharCode(65 + index),
  expr,
  legendFormat,
});

function panel(own: Panel, id: number, place: { x: number; y: number }) {
  const { kind = "timeseries", title, unit = "short", about, queries, page } = own;
  const links = page ? [{ title: `Runbook: ${page}`, url: `${DOCS}/runbook.md#${page.toLowerCase()}` }] : [];
  const custom = {
    fillOpacity: 8,
    showPoints: "never",
    thresholdsStyle: { mode: own.bad === undefined ? "off" : "dashed" },
  };
  return {
    id,
    type: kind,
    title,
    description: about,
    datasource: SOURCE,
    gridPos: { ...SIZES[kind], ...place },
    links,
    fieldConfig: {
      defaults: {
        unit,
        min: 0,
        thresholds: thresholds(own),
        ...(kind === "timeseries" && { custom }),
      },
      overrides: [],
    },
    options:
      kind === "stat"
        ? { colorMode: "background", graphMode: "area", reduceOptions: { calcs: ["lastNotNull"] } }
        : {
            legend: { displayMode: "list", placement: "bottom" },
            tooltip: { mode: "multi", sort: "desc" },
          },
    targets: queries.map(target),
  };
}

/** Panels from left to right, in lines; each row is a section that folds. */
function place() {
  const all: object[] = [];
  let id = 0;
  let y = 0;
  for (const [title, panels] of ROWS) {
    all.push({
      id: ++id,
      type: "row",
      title,
      collapsed: false,
      gridPos: { w: WIDTH, h: 1, x: 0, y: y++ },
      panels: [],
    });
    let [x, height] = [0, 0];
    for (const own of panels) {
      const { w, h } = SIZES[own.kind ?? "timeseries"];
      if (x + w > WIDTH) [x, y, height] = [0, y + height, 0];
      all.push(panel(own, ++id, { x, y }));
      [x, height] = [x + w, Math.max(height, h)];
    }
    y += height;
  }
  return all;
}

/** @param all what "All" stands for; absent: every value that there is */
const variable = (name: string, label: string, query: string, all?: string) => ({
  ...{ name, label, type: "query", multi: true, includeAll: true, refresh: 2 },
  ...(all !== undefined && { allValue: all }),
  current: { text: ["All"], value: ["$__all"] },
  datasource: SOURCE,
  query: { query, refId: "A" },
});

console.log(
  JSON.stringify(
    {
      title: "Trunkline",
      uid: "trunkline",
      tags: ["trunkline"],
      schemaVersion: 39,
      version: 2,
      editable: true,
      refresh: "10s",
      time: { from: "now-1h", to: "now" },
      timezone: "browser",
      links: [
        { title: "Runbook", type: "link", url: `${DOCS}/runbook.md`, targetBlank: true },
        { title: "Metrics", type: "link", url: `${DOCS}/metrics.md`, targetBlank: true },
      ],
      templating: {
        list: [
          { name: "datasource", type: "datasource", query: "prometheus", label: "Data source" },
          variable("region", "Region", "label_values(trunkline_build_info, region)", ".*"),
          // Without a value for all: those of the chosen regions, then.
          variable("instance", "Instance", 'label_values(trunkline_build_info{region=~"$region"}, instance)'),
          variable(
            "namespace",
            "Namespace",
            'label_values(trunkline_channels{instance=~"$instance"}, namespace)',
            ".*",
          ),
        ],
      },
      annotations: {
        list: [
          {
            name: "Drains",
            datasource: SOURCE,
            enable: true,
            iconColor: "orange",
            expr: "increase(trunkline_drains_total[1m]) > 0",
            titleFormat: "drain {{instance}}",
          },
          {
            name: "Alerts",
            datasource: SOURCE,
            enable: true,
            iconColor: "red",
            expr: 'ALERTS{alertname=~"Trunkline.+",alertstate="firing"}',
            titleFormat: "{{alertname}} {{instance}}",
          },
        ],
      },
      panels: place(),
    },
    null,
    2,
  ),
);
