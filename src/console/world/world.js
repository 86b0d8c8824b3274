import { Client } from "./client.js";
import { changeLink, changeRegion, look } from "./control.js";
import { Latencies } from "./figures.js";
import { SLOWER, WorldMap } from "./map.js";
import { showLinks, showRegions } from "./panels.js";

const $ = (id) => document.getElementById(id);

const CLIENTS_PER_REGION = 2;
const LOOK_MS = 1000;
/** Somebody says something so often. */
const TALK_MS = 900;
/** A message that some client lacks for so long is missing; ms. Links take their time. */
const PATIENCE_MS = 1500;

const map = new WorldMap($("map"));
const latencies = new Latencies();
/** Ids of what is stored for certain, and when that was known. */
const stored = new Map();
let clients = [];
let world;
let talking = true;
let count = 0;
let refused = 0;

$("slower").textContent = SLOWER;

async function start() {
  world = await look();
  const { regions, links } = world;
  const far = (a, b) =>
    links.find((link) => [link.a, link.b].includes(a) && [link.a, link.b].includes(b))?.roundTripMs ?? 0;
  clients = regions.flatMap(({ name: home }, place) => {
    const byDistance = regions.toSorted((one, other) => far(home, one.name) - far(home, other.name));
    const endpoints = byDistance.flatMap((region) =>
      region.instances.map(({ websocket }) => ({ region: region.name, url: websocket })),
    );
    // Its own region first, also where all are equally far.
    endpoints.sort((one, other) => (other.region === home) - (one.region === home));
    return Array.from({ length: CLIENTS_PER_REGION }, (_, index) => {
      const client = new Client({ name: `${home}-${index + 1}`, home, endpoints, on: { moved, message } });
      client.colour = `oklch(0.64 0.15 ${Math.round((360 * place) / regions.length + 250) % 360})`;
      return client;
    });
  });
  show();
  await Promise.all(clients.map((client) => client.join()));
  setInterval(refresh, LOOK_MS);
  setInterval(() => talking && publish(speaker()), TALK_MS);
}

async function refresh() {
  try {
    world = await look();
  } catch {
    world = undefined;
  }
  show();
  if (!world) return;
  const up = new Set(world.regions.filter(({ state }) => state === "up").map(({ name }) => name));
  for (const client of clients) if (client.away && up.has(client.home)) client.goHome();
}

function show() {
  if (!world) {
    document.body.dataset.link = "down";
    $("state-text").textContent = "the world has ended";
    return;
  }
  const { regions, links, meta } = world;
  const up = regions.filter(({ state }) => state === "up").length;
  document.body.dataset.link = up === regions.length ? "up" : up === 0 ? "down" : "wait";
  $("state-text").textContent = `${up} of ${regions.length} regions up`;
  $("count").textContent = regions.length;
  $("quorum").textContent = meta?.leader ? `JetStream led by ${meta.leader}` : "JetStream has no quorum";
  $("quorum").classList.toggle("bad", !meta?.leader);
  const away = clients.filter((client) => client.away).length;
  $("clients-fact").textContent = `${clients.length} clients${away ? `, ${away} away from home` : ""}`;
  map.show(world);
  map.gather(clients);
  const latency = (from, to) => latencies.median(from, to);
  showRegions($("regions"), { regions, clients, latency, act: regionAction });
  showLinks($("links"), { links, latency, act: attempt(changeLink) });
  showCounts();
}

function showCounts() {
  const now = performance.now();
  let missing = 0;
  for (const [id, sinceMs] of stored) {
    if (now - sinceMs < PATIENCE_MS) continue;
    missing += clients.filter((client) => !client.received.has(id)).length;
  }
  $("published").textContent = stored.size;
  $("delivered").textContent = clients.reduce((sum, client) => sum + client.received.size, 0);
  $("missing").textContent = missing;
  $("missing").classList.toggle("bad", missing > 0);
  $("duplicates").textContent = clients.reduce((sum, client) => sum + client.duplicates, 0);
}

/** Whose turn it is: each region in turn, and in each its clients in turn. */
function speaker() {
  const regions = clients.length / CLIENTS_PER_REGION;
  const turn = Math.floor(count / regions) % CLIENTS_PER_REGION;
  return clients[(count % regions) * CLIENTS_PER_REGION + turn];
}

/** Says something from one client, to all. */
async function publish(client) {
  count++;
  if (!client?.ready) return;
  const id = `${Date.now().toString(36)}-${count}`;
  const data = { id, region: client.region, by: client.name, sentMs: performance.now() };
  try {
    await client.publish(id, data);
    if (!stored.has(id)) stored.set(id, performance.now());
    if (refused > 0) tell("");
    refused = 0;
  } catch ({ message }) {
    refused++;
    tell(`${refused === 1 ? "A publish was" : `${refused} publishes were`} refused: ${message}.`);
  }
}

function message(data, client) {
  // What somebody has got is stored, acknowledged or not.
  if (!stored.has(data.id)) stored.set(data.id, performance.now());
  const others = clients.filter((one) => one !== client && one.region === client.region);
  // One dot for all clients of a region; what comes late, by recovery, says nothing about the way.
  if (client.region === undefined || others.some((one) => one.received.has(data.id))) return;
  const ms = performance.now() - data.sentMs;
  map.travel(
    data.region,
    client.region,
    Math.min(ms, 400),
    clients.find(({ name }) => name === data.by)?.colour,
  );
  latencies.add(data.region, client.region, ms);
}

function moved() {
  if (world) show();
}

async function regionAction(name, action) {
  if (action === "publish") await publish(clients.find((client) => client.region === name && client.ready));
  else await attempt(changeRegion)(name, action);
}

/** Does it, says what went wrong, and looks at once what has become of it. */
function attempt(action) {
  return async (...args) => {
    try {
      await action(...args);
      tell("");
    } catch ({ message }) {
      tell(`That failed: ${message}.`);
    }
    await refresh();
  };
}

function tell(text) {
  $("note").textContent = text;
}

$("talk").addEventListener("click", () => {
  talking = !talking;
  $("talk").setAttribute("aria-pressed", String(talking));
  $("talk").textContent = talking ? "Pause the talk" : "Resume the talk";
});

window.addEventListener("DOMContentLoaded", () => {
  start().catch(({ message }) => tell(`The page could not start: ${message}.`));
});
