import { milliseconds, rate } from "./figures.js";

const STATES = { up: "up", partial: "partly up", down: "down" };

/** Asked for and not done yet: buttons stay what they are until the world has changed. */
const busy = new Set();

/**
 * The list of regions. `latency(from, to)` is in ms; `act(name, action)` does `kill`, `heal` or `publish`.
 */
export function showRegions(list, { regions, clients, latency, act }) {
  for (const region of regions) {
    const { name } = region;
    const item = list.querySelector(`[data-region="${name}"]`) ?? list.appendChild(regionItem(region, act));
    const here = clients.filter((client) => client.region === name);
    const deliveries = region.instances.reduce((sum, one) => sum + (one.deliveriesPerSecond ?? 0), 0);
    const alive = region.instances.filter((one) => one.alive).length;
    item.dataset.state = region.state;
    set(item, ".region-state", STATES[region.state]);
    set(
      item,
      ".region-facts",
      `${alive}/${region.instances.length} instances · ${here.length} clients · ${Math.round(deliveries)} msg/s` +
        ` · echo ${milliseconds(latency(name, name))}`,
    );
    const change = item.querySelector(".change");
    change.textContent = region.state === "up" ? "Kill the region" : "Heal the region";
    change.className = region.state === "up" ? "change danger" : "change primary";
    change.disabled = busy.has(name);
    item.querySelector(".page").hidden = alive === 0;
    item.querySelector(".publish").disabled = !here.some((client) => client.ready);
  }
}

function regionItem({ name, city, instances }, act) {
  const item = document.createElement("li");
  item.dataset.region = name;
  item.innerHTML = `<div class="region-head"><span class="lamp" aria-hidden="true"></span><b></b><span class="city"></span>
    <span class="region-state"></span></div><p class="region-facts"></p>
    <div class="region-actions"><button type="button" class="change"></button>
    <button type="button" class="publish quiet">Publish here</button><a class="page">Demo page</a></div>`;
  set(item, "b", name);
  set(item, ".city", city);
  const page = item.querySelector(".page");
  page.href = `${instances[0].url}/#room=42`;
  page.target = "_blank";
  page.rel = "noopener";
  const change = item.querySelector(".change");
  change.addEventListener("click", () =>
    whileBusy(name, change, () => act(name, item.dataset.state === "up" ? "kill" : "heal")),
  );
  item.querySelector(".publish").addEventListener("click", () => act(name, "publish"));
  return item;
}

/** The table of links; `act(a, b, action)` does `cut` or `heal`. */
export function showLinks(body, { links, latency, act }) {
  for (const { a, b, state, roundTripMs, natsBytesPerSecond } of links) {
    const key = `${a}-${b}`;
    const row = body.querySelector(`[data-pair="${key}"]`) ?? body.appendChild(linkRow(a, b, act));
    row.dataset.state = state;
    set(row, ".wire", `${roundTripMs} ms`);
    set(row, ".there", milliseconds(latency(a, b)));
    set(row, ".back", milliseconds(latency(b, a)));
    set(row, ".traffic", state === "open" ? rate(natsBytesPerSecond[0] + natsBytesPerSecond[1]) : state);
    const change = row.querySelector("button");
    change.textContent = state === "open" ? "Cut" : "Heal";
    change.setAttribute("aria-label", `${change.textContent} the link between ${a} and ${b}`);
    change.disabled = busy.has(key);
  }
}

function linkRow(a, b, act) {
  const row = document.createElement("tr");
  row.dataset.pair = `${a}-${b}`;
  row.innerHTML = `<th scope="row"></th><td class="wire"></td><td class="there"></td><td class="back"></td>
    <td class="traffic"></td><td><button type="button" class="quiet"></button></td>`;
  set(row, "th", `${a} – ${b}`);
  const change = row.querySelector("button");
  change.addEventListener("click", () =>
    whileBusy(row.dataset.pair, change, () => act(a, b, row.dataset.state === "open" ? "cut" : "heal")),
  );
  return row;
}

async function whileBusy(key, button, action) {
  busy.add(key);
  button.disabled = true;
  try {
    await action();
  } finally {
    busy.delete(key);
    button.disabled = false;
  }
}

function set(parent, selector, text) {
  const element = parent.querySelector(selector);
  if (element.textContent !== text) element.textContent = text;
}
