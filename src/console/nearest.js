// Trunkline's regions for a stock SDK: the nearest first, the next one when it is gone. Copy it, or import it.

/** WebSocket addresses of the regions that take clients, by measured round trip. `base`: https:// of any region. */
export async function nearest(base, path = "/connection/websocket") {
  const { regions, partial } = await (await fetch(`${base}/regions`)).json();
  const timed = regions.map(async ({ url, ready }) => {
    let best = ready || partial ? 9e9 : 9e10;
    // The first probe pays for the connection, the others measure.
    for (let i = 0; url && i < 3; i++) {
      const from = performance.now();
      const probe = { mode: "no-cors", cache: "no-store", signal: AbortSignal.timeout(3000) };
      if (!(await fetch(`${url}/healthz`, probe).catch(() => 0))) break;
      if (ready || partial) best = Math.min(best, performance.now() - from);
    }
    return [best, url && url.replace(/^http/, "ws") + path];
  });
  return (await Promise.all(timed)).sort((a, b) => a[0] - b[0]).flatMap(([, url]) => url || []);
}

/** A WebSocket class that goes on to the next address when one cannot be reached: `{ websocket: failover(urls) }`. */
export function failover(urls) {
  let at = 0;
  return class extends WebSocket {
    constructor(_url, protocols) {
      super(urls[at % urls.length], protocols);
      let open = 0;
      this.addEventListener("open", () => open++);
      this.addEventListener("close", () => open || at++);
    }
  };
}
