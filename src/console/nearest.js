// Trunkline's regions for a stock SDK: the nearest first, the next one when it does not serve, and home again when it
// does. Copy it, or import it.

const toHttp = (url) => new URL(url).origin.replace(/^ws/, "http");

/**
 * WebSocket addresses of the regions, those that take clients first, by measured round trip; where regions have no
 * addresses of their own, `base` alone. `base`: https:// of any region. `path`: for pusher-js, `/`.
 */
export async function nearest(base, path = "/connection/websocket") {
  const { regions, partial } = await (await fetch(`${base}/regions`)).json();
  const timed = regions.map(async ({ url, ready }) => {
    let best = ready || partial ? 9e9 : 9e10;
    // The first probe pays for the connection, the others measure.
    for (let i = 0; url && i < 3; i++) {
      const from = performance.now();
      if (!(await reachable(url))) break;
      if (ready || partial) best = Math.min(best, performance.now() - from);
    }
    return [best, url];
  });
  const urls = (await Promise.all(timed)).sort((a, b) => a[0] - b[0]).flatMap(([, url]) => url || []);
  return (urls.length ? urls : [base]).map((url) => url.replace(/^http/, "ws") + path);
}

const reachable = (url) =>
  fetch(`${url}/healthz`, { mode: "no-cors", cache: "no-store", signal: AbortSignal.timeout(3000) }).catch(
    () => 0,
  );

/**
 * A WebSocket class for `urls`, in the order they are wanted: `new Centrifuge(urls[0], { websocket: failover(urls) })`.
 * It goes on to the next address when one cannot be reached or does not serve, and looks every `homeMs` whether one it
 * would rather have is back. Sockets to other hosts it leaves alone. `failed`: called when an address was not reached.
 */
export function failover(urls, { homeMs = 30000, failed = () => {} } = {}) {
  const hosts = urls.map((url) => new URL(url).host);
  let at = 0;
  return class extends WebSocket {
    constructor(url, protocols) {
      const { host, pathname, search } = new URL(url);
      const own = hosts.includes(host);
      super(own ? new URL(pathname + search, urls[at]) : url, protocols);
      if (!own) return;
      let opened, timer;
      this.addEventListener("open", () => {
        opened = true;
        if (at) timer = setInterval(() => home(this), homeMs * (0.75 + Math.random() / 2));
      });
      this.addEventListener("close", ({ reason }) => {
        clearInterval(timer);
        if (!opened || /^(cannot serve|overloaded)$/.test(reason)) at = (at + 1) % urls.length;
        if (!opened) failed();
      });
    }
  };

  async function home(socket) {
    const here = at;
    const { regions, partial } = await fetch(`${toHttp(urls[at])}/regions`).then(
      (r) => r.json(),
      () => ({ partial: 1 }),
    );
    for (let i = 0; i < here && !partial; i++) {
      const there = regions.find(({ url, ready }) => ready && url && new URL(url).host === hosts[i]);
      if (!there || !(await reachable(toHttp(urls[i]))) || at !== here) continue;
      at = i;
      return socket.close();
    }
  }
}

/**
 * The same for pusher-js, which takes no class: call it before `new Pusher(…)`, with `wsHost` one of these, and give what
 * it returns the Pusher: `const follow = pusherFailover(urls); const pusher = follow(new Pusher(key, options))`.
 */
export function pusherFailover(urls, options) {
  let pusher;
  // pusher-js itself would wait 15 s.
  const again = () => {
    if (!/connecting|unavailable/.test(pusher?.connection.state)) return;
    pusher.disconnect();
    pusher.connect();
  };
  globalThis.WebSocket = failover(urls, {
    ...options,
    failed: () => setTimeout(again, 250 + 500 * Math.random()),
  });
  return (made) => (pusher = made);
}
