import { HEIGHT, landPath, place, WIDTH } from "./land.js";

const SVG = "http://www.w3.org/2000/svg";
/** How far apart a region's clients stand from it. */
const ORBIT = 21;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** How many times slower than it was a message is drawn. */
export const SLOWER = 8;

/** The map: land, regions, links, clients and messages under way. */
export class WorldMap {
  #spots = new Map();
  #links = new Map();
  #clients = new Map();
  #layers = {};
  #travelling = new Set();
  #drawing = false;

  constructor(svg) {
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.append(make("path", { class: "land", d: landPath() }));
    for (const name of ["links", "regions", "clients", "messages"]) {
      this.#layers[name] = make("g", {});
      svg.append(this.#layers[name]);
    }
  }

  /** Draws regions and links the first time, and their states each time. */
  show({ regions, links }) {
    for (const region of regions) {
      const spot = this.#spots.get(region.name) ?? this.#addRegion(region);
      spot.group.dataset.state = region.state;
    }
    for (const { a, b, state } of links) {
      const link = this.#links.get(`${a} ${b}`) ?? this.#addLink(a, b);
      const dead = [a, b].some((end) => this.#spots.get(end).group.dataset.state === "down");
      link.dataset.state = dead ? "dead" : state;
    }
  }

  /** Puts every client where it is connected; those that are nowhere stay where they were, pale. */
  gather(clients) {
    const places = Map.groupBy(
      clients,
      (client) => client.region ?? this.#clients.get(client.name)?.at ?? client.home,
    );
    for (const [region, here] of places) {
      const { x, y } = this.#spots.get(region);
      here.forEach((client, index) => {
        const angle = ((index + 0.5) / here.length) * 2 * Math.PI + 0.6;
        const dot = this.#clients.get(client.name) ?? this.#addClient(client);
        dot.at = region;
        dot.circle.style.transform = `translate(${x + ORBIT * Math.cos(angle)}px, ${y + ORBIT * Math.sin(angle)}px)`;
        dot.circle.dataset.connected = String(client.region !== undefined);
        dot.circle.dataset.region = region;
      });
    }
  }

  /** Draws a message that took so long between two regions. */
  travel(from, to, ms, colour) {
    if (calm.matches || document.hidden) return this.#arrive(to);
    const path = this.#pathOf(from, to);
    const dot = make("circle", { class: "message", r: 5 });
    dot.style.setProperty("--colour", colour);
    this.#layers.messages.append(dot);
    const message = { dot, to, path, startMs: performance.now(), lastsMs: Math.max(120, ms * SLOWER) };
    this.#travelling.add(message);
    if (!this.#drawing) requestAnimationFrame((now) => this.#draw(now));
    this.#drawing = true;
  }

  #draw(now) {
    for (const message of this.#travelling) {
      const { dot, path, to, startMs, lastsMs } = message;
      const done = Math.min(1, Math.max(0, (now - startMs) / lastsMs));
      const { x, y } = path(done);
      dot.setAttribute("cx", x);
      dot.setAttribute("cy", y);
      if (done < 1) continue;
      this.#travelling.delete(message);
      dot.remove();
      this.#arrive(to);
    }
    this.#drawing = this.#travelling.size > 0;
    if (this.#drawing) requestAnimationFrame((next) => this.#draw(next));
  }

  #arrive(region) {
    this.#spots.get(region).ring.animate?.(
      [
        { r: "11px", opacity: 0.7 },
        { r: "26px", opacity: 0 },
      ],
      500,
    );
  }

  #addRegion({ name, city, latitude, longitude }) {
    const { x, y } = place(latitude, longitude);
    const group = make("g", { class: "region", transform: `translate(${x} ${y})` });
    const ring = make("circle", { class: "ring", r: 11 });
    const label = make("text", { y: -30 });
    label.textContent = name;
    const title = make("title", {});
    title.textContent = city;
    group.append(title, ring, make("circle", { class: "spot", r: 9 }), label);
    this.#layers.regions.append(group);
    const spot = { x, y, group, ring };
    this.#spots.set(name, spot);
    return spot;
  }

  #addLink(a, b) {
    const [from, to] = [this.#spots.get(a), this.#spots.get(b)];
    const bend = bendOf(from, to);
    const link = make("path", {
      class: "link",
      d: `M${from.x} ${from.y}Q${bend.x} ${bend.y} ${to.x} ${to.y}`,
    });
    this.#layers.links.append(link);
    this.#links.set(`${a} ${b}`, link);
    return link;
  }

  #addClient(client) {
    const circle = make("circle", { class: "client", r: 4.5 });
    circle.style.setProperty("--colour", client.colour);
    circle.dataset.client = client.name;
    this.#layers.clients.append(circle);
    const dot = { circle, at: client.home };
    this.#clients.set(client.name, dot);
    return dot;
  }

  /** A function from 0…1 to where a message is by then. Within a region it circles once around it. */
  #pathOf(a, b) {
    const [from, to] = [this.#spots.get(a), this.#spots.get(b)];
    if (a === b) {
      return (part) => ({
        x: from.x + ORBIT * Math.cos(2 * Math.PI * part),
        y: from.y + ORBIT * Math.sin(2 * Math.PI * part),
      });
    }
    const bend = bendOf(from, to);
    return (part) => {
      const rest = 1 - part;
      const along = (axis) =>
        rest * rest * from[axis] + 2 * rest * part * bend[axis] + part * part * to[axis];
      return { x: along("x"), y: along("y") };
    };
  }
}

/** Where the curve between two places is pulled to: north, the farther they are apart the more. */
function bendOf(from, to) {
  const distance = Math.hypot(to.x - from.x, to.y - from.y);
  return { x: (from.x + to.x) / 2, y: Math.max(8, (from.y + to.y) / 2 - distance * 0.28) };
}

function make(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
