import { join } from "node:path";
import { ensureServer, type TestServer, testServer } from "./servers.ts";

/** How the configuration shipped in `deploy/` is changed for a test: nothing else is. */
export interface ProxyChanges {
  /** Ports of the gateways. */
  readonly gateways: readonly number[];
  /** Silence ends a connection after so many seconds, instead of 75. */
  readonly silenceSeconds?: number;
  /** As told in the file: behind a load balancer that speaks the PROXY protocol; `raw`: and without TLS. */
  readonly proxyProtocol?: "tls" | "raw";
}

export interface ShippedProxy extends AsyncDisposable {
  readonly port: number;
  /** wss://localhost:port/connection/websocket, or ws:// where TLS is left out. */
  readonly websocket: string;
  /** https://localhost:port */
  readonly url: string;
  /** Ends at once, with every connection, and starts again when `meanwhile` is done. */
  restart(meanwhile: () => Promise<void>): Promise<void>;
  /** What it has logged. */
  log(): Promise<string>;
}

const DEPLOY = new URL("../../deploy/", import.meta.url).pathname;

/** Replaces text that must be in the file: one that has changed must not leave a test that tests nothing. */
function replaced(text: string, changes: readonly Change[]): string {
  for (const [from, to] of changes) {
    const found = typeof from === "string" ? text.includes(from) : from.test(text);
    if (!found) throw new Error(`not in the shipped file: ${from}`);
    text = typeof from === "string" ? text.replaceAll(from, to) : text.replace(from, to);
  }
  return text;
}

type Change = readonly [from: string | RegExp, to: string];

async function certificate(dir: string): Promise<void> {
  const made = Bun.spawnSync(
    [
      "openssl",
      ...[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
      ],
      ...["-subj", "/CN=localhost", "-keyout", join(dir, "privkey.pem"), "-out", join(dir, "fullchain.pem")],
    ],
    { stdout: "ignore", stderr: "pipe" },
  );
  if (made.exitCode !== 0) throw new Error(`openssl: ${made.stderr.toString()}`);
  const parts = await Promise.all(
    ["fullchain.pem", "privkey.pem"].map((name) => Bun.file(join(dir, name)).text()),
  );
  await Bun.write(join(dir, "trunkline.pem"), parts.join(""));
}

async function shipped(
  start: (port: number, dir: string) => Promise<string[]>,
  logFile: string,
  { proxyProtocol }: ProxyChanges,
): Promise<ShippedProxy> {
  const server: TestServer = await testServer(
    async (port, dir) => {
      await certificate(dir);
      return await start(port, dir);
    },
    (port) => `localhost:${port}`,
  );
  return {
    port: server.port,
    websocket: `${proxyProtocol === "raw" ? "ws" : "wss"}://${server.url}/connection/websocket`,
    url: `https://${server.url}`,
    async restart(meanwhile) {
      // The master first, or it would replace its workers.
      await server.kill("SIGTERM");
      await meanwhile();
      await server.restart();
    },
    log: () => Bun.file(join(server.dir, logFile)).text(),
    async [Symbol.asyncDispose]() {
      // Killed at once, nginx would leave its workers behind.
      await server.kill("SIGTERM");
      await server[Symbol.asyncDispose]();
    },
  };
}

/** nginx with `deploy/nginx.conf`. */
export function nginxProxy(changes: ProxyChanges): Promise<ShippedProxy> {
  const { gateways, silenceSeconds = 75, proxyProtocol } = changes;
  const start = async (port: number, dir: string) => {
    const conf = replaced(await Bun.file(`${DEPLOY}nginx.conf`).text(), [
      ["/etc/nginx/tls/", `${dir}/`],
      ["/var/log/nginx/", `${dir}/`],
      ["/run/nginx.pid", `${dir}/nginx.pid`],
      // The limit of this machine may be lower than a gateway's.
      ["worker_rlimit_nofile 200000;", ""],
      ["worker_connections 100000;", "worker_connections 512;"],
      [
        /server 127\.0\.0\.1:8080([^;]*);/,
        gateways.map((gateway) => `server 127.0.0.1:${gateway}$1;`).join("\n"),
      ],
      ["_timeout 75s;", `_timeout ${silenceSeconds}s;`],
      [
        /listen 443 ([^;]*);/,
        `listen 127.0.0.1:${port} ${{ tls: "$1 proxy_protocol", raw: "proxy_protocol", none: "$1" }[proxyProtocol ?? "none"]};`,
      ],
      ...(proxyProtocol
        ? ([
            ["# set_real_ip_from 10.0.0.0/8;", "set_real_ip_from 127.0.0.0/8;"],
            ["# real_ip_header proxy_protocol;", "real_ip_header proxy_protocol;"],
          ] as const)
        : []),
    ]);
    const scratch = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
      .map((kind) => `${kind}_temp_path ${dir}/${kind};`)
      .join("\n");
    await Bun.write(join(dir, "nginx.conf"), conf.replace("http {", `http {\n${scratch}`));
    return [ensureServer("nginx"), "-p", dir, "-c", join(dir, "nginx.conf"), "-g", "daemon off;"];
  };
  return shipped(start, "trunkline.log", changes);
}

/** HAProxy with `deploy/haproxy.cfg`. */
export function haproxyProxy(changes: ProxyChanges): Promise<ShippedProxy> {
  const { gateways, silenceSeconds = 75, proxyProtocol } = changes;
  const start = async (port: number, dir: string) => {
    const tls = `ssl crt ${dir}/trunkline.pem alpn $1`;
    const conf = replaced(await Bun.file(`${DEPLOY}haproxy.cfg`).text(), [
      ["maxconn 100000", "maxconn 256"],
      [
        "  server g1 127.0.0.1:8080",
        gateways.map((gateway, i) => `  server g${i} 127.0.0.1:${gateway}`).join("\n"),
      ],
      [" 75s", ` ${silenceSeconds}s`],
      [
        /bind :443 ssl crt \/etc\/haproxy\/tls\/trunkline\.pem alpn (\S+)/,
        `bind 127.0.0.1:${port} ${{ tls: `${tls} accept-proxy`, raw: "accept-proxy", none: tls }[proxyProtocol ?? "none"]}`,
      ],
    ]);
    await Bun.write(join(dir, "haproxy.cfg"), conf);
    return [ensureServer("haproxy"), "-f", join(dir, "haproxy.cfg")];
  };
  return shipped(start, "out.log", changes);
}
