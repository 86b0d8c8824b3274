import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Children } from "../process/children.ts";
import { accepts, freePort, LOOPBACK } from "../process/ports.ts";
import { program } from "../process/programs.ts";
import { type ManagedServer, type Server, startServer } from "./server.ts";

/** The ports of the one NATS server of a region. */
export interface NatsPorts {
  readonly client: number;
  readonly monitor: number;
  readonly route: number;
  readonly gateway: number;
}

export interface NatsOptions {
  readonly region: string;
  /** For its configuration and data. */
  readonly dir: string;
  readonly ports: NatsPorts;
  /** Every region, and the port of the wire that leads to its gateway. */
  readonly gateways: ReadonlyMap<string, number>;
  /** What stands in its configuration besides. */
  readonly more: string;
  readonly children: Children;
  onChange(alive: boolean): void;
}

/** The NATS server of a region. */
export interface Nats extends Server {
  readonly region: string;
  /** nats://127.0.0.1:port, for clients in this region. */
  readonly url: string;
  /** http://127.0.0.1:port of its monitoring pages: /varz, /jsz, /gatewayz. */
  readonly monitorUrl: string;
  /** Folder of what it has stored. */
  readonly storeDir: string;
}

export async function natsPorts(): Promise<NatsPorts> {
  const [client, monitor, route, gateway] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  return { client, monitor, route, gateway };
}

/** Starts a region's server. What is stored survives kills: its files stay. */
export async function startNats(options: NatsOptions): Promise<Nats & ManagedServer> {
  const { region, dir, ports, children, onChange } = options;
  const file = join(dir, `${region}.conf`);
  await writeFile(file, configuration(options));
  const server = await startServer({
    name: `nats-server of ${region}`,
    children,
    program: () => ({ command: program("nats-server"), args: ["-c", file] }),
    probe: () => accepts({ hostname: LOOPBACK, port: ports.client }),
    onChange,
  });
  return Object.assign(server, {
    url: `nats://${LOOPBACK}:${ports.client}`,
    monitorUrl: `http://${LOOPBACK}:${ports.monitor}`,
    region,
    storeDir: join(dir, region),
  });
}

/**
 * A cluster of one, joined to the others by gateways; JetStream has one meta group over all of them. nats-server 2.9
 * wants a cluster to have a route before it clusters JetStream, and one to itself does.
 */
function configuration({ region, dir, ports, gateways, more }: NatsOptions): string {
  const others = [...gateways]
    .filter(([other]) => other !== region)
    .map(([other, port]) => `{ name: ${other}, url: "nats://${LOOPBACK}:${port}" }`);
  return `server_name: ${region}
listen: "${LOOPBACK}:${ports.client}"
http: "${LOOPBACK}:${ports.monitor}"
server_tags: ["region:${region}"]
ping_interval: "5s"
ping_max: 2
max_payload: 1MB
jetstream { store_dir: "${join(dir, region)}", max_file: 4GB }
cluster { name: ${region}, listen: "${LOOPBACK}:${ports.route}", routes: ["nats://${LOOPBACK}:${ports.route}"] }
gateway {
  name: ${region}, listen: "${LOOPBACK}:${ports.gateway}", advertise: "${LOOPBACK}:${gateways.get(region)}"
  gateways: [${others.join(", ")}]
}
${more}
`;
}
