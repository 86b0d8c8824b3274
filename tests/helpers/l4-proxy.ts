import { existsSync } from "node:fs";
import { join } from "node:path";
import { ensureServer, type TestServer, testServer } from "./servers.ts";

const L4 = new URL("../../deploy/l4/", import.meta.url).pathname;
const STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so";

/** A gateway behind a balancer: its port for clients, and its second port. */
export interface Gateway {
  readonly port: number;
  readonly admin: number;
}

/** Text that must be in a shipped file, and what stands there for a test. */
type Change = readonly [from: string, to: string];

function changed(text: string, changes: readonly Change[]): string {
  for (const [from, to] of changes) {
    if (!text.includes(from)) throw new Error(`not in the shipped file: ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

/** HAProxy with a file of `deploy/l4`. @param changes of the test's own */
export function l4Haproxy(
  file: "haproxy-l4.cfg" | "haproxy-hash.cfg",
  gateways: readonly Gateway[],
  changes: readonly Change[] = [],
): Promise<TestServer> {
  return testServer(
    async (port, dir) => {
      const servers = gateways.map(
        (gateway, n) =>
          `  server g${n + 1} 127.0.0.1:${gateway.port} port ${gateway.admin} no-check-send-proxy`,
      );
      const text = changed(await Bun.file(L4 + file).text(), [
        ["maxconn 100000", "maxconn 4000"],
        ["bind :8443", `bind 127.0.0.1:${port}`],
        ["  server g1 127.0.0.1:8080 port 9100 no-check-send-proxy", servers.join("\n")],
        ...changes,
      ]);
      await Bun.write(join(dir, "haproxy.cfg"), text);
      return [ensureServer("haproxy"), "-f", join(dir, "haproxy.cfg")];
    },
    (port) => `127.0.0.1:${port}`,
  );
}

/** nginx with `deploy/l4/nginx-stream.conf`. */
export function l4Nginx(gateways: readonly Gateway[]): Promise<TestServer> {
  return testServer(
    async (port, dir) => {
      const nginx = ensureServer("nginx");
      if (!existsSync(STREAM_MODULE))
        Bun.spawnSync(["apt-get", "install", "-y", "-qq", "libnginx-mod-stream"]);
      if (!existsSync(STREAM_MODULE)) throw new Error("type: sudo apt-get install libnginx-mod-stream");
      const text = changed(await Bun.file(`${L4}nginx-stream.conf`).text(), [
        ["include /etc/nginx/modules-enabled/*.conf;", `load_module ${STREAM_MODULE};`],
        ["/run/nginx-stream.pid", `${dir}/nginx.pid`],
        ["/var/log/nginx/", `${dir}/`],
        ["worker_rlimit_nofile 200000;", ""],
        ["worker_connections 100000;", "worker_connections 512;"],
        ["listen 8443;", `listen 127.0.0.1:${port};`],
        [
          "server 127.0.0.1:8080 max_fails=0;",
          gateways.map((gateway) => `server 127.0.0.1:${gateway.port} max_fails=0;`).join("\n"),
        ],
      ]);
      await Bun.write(join(dir, "nginx.conf"), text);
      return [nginx, "-p", dir, "-c", join(dir, "nginx.conf"), "-g", "daemon off;"];
    },
    (port) => `127.0.0.1:${port}`,
  );
}
