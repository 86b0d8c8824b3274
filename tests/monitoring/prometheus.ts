import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestServer, testServer } from "../helpers/servers.ts";

export interface Target {
  /** Where its metrics are: its address without a path. */
  readonly url: string;
  /** Value of the label `instance`. */
  readonly instance: string;
}

export interface Options {
  readonly targets: readonly Target[];
  readonly interval: string;
  /** Path of a file of rules. */
  readonly rules?: string;
}

/** One series of a vector, and its value now. */
export interface Value {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Where Debian's package has it, or whatever PROMETHEUS_BIN says. */
function program(): string {
  const found = process.env.PROMETHEUS_BIN ?? Bun.which("prometheus");
  if (!found)
    throw new Error("prometheus is needed: sudo apt-get install prometheus (or set PROMETHEUS_BIN)");
  return found;
}

/** A Prometheus that scrapes instances. */
export class Prometheus implements AsyncDisposable {
  readonly #server: TestServer;
  readonly #targets: string;

  private constructor(server: TestServer, targets: string) {
    this.#server = server;
    this.#targets = targets;
  }

  static async start({ targets, interval, rules }: Options): Promise<Prometheus> {
    const folder = await mkdtemp(join(tmpdir(), "trunkline-targets-"));
    const file = join(folder, "targets.json");
    await Bun.write(file, targetsFile(targets));
    const server = await testServer(
      async (port, dir) => {
        const config = {
          global: { scrape_interval: interval, evaluation_interval: interval, scrape_timeout: interval },
          ...(rules && { rule_files: [rules] }),
          scrape_configs: [
            {
              job_name: "trunkline",
              tls_config: { insecure_skip_verify: true },
              file_sd_configs: [{ files: [file], refresh_interval: "1s" }],
            },
          ],
        };
        // JSON is YAML.
        await Bun.write(join(dir, "prometheus.yml"), JSON.stringify(config));
        return [
          program(),
          `--config.file=${join(dir, "prometheus.yml")}`,
          `--storage.tsdb.path=${join(dir, "data")}`,
          `--web.listen-address=127.0.0.1:${port}`,
        ];
      },
      (port) => `http://127.0.0.1:${port}`,
    );
    return new Prometheus(server, folder);
  }

  /** From now on these are scraped. */
  async target(targets: readonly Target[]): Promise<void> {
    await Bun.write(join(this.#targets, "targets.json"), targetsFile(targets));
  }

  /** @throws Error with what Prometheus has against the query */
  async query(query: string): Promise<readonly Value[]> {
    const response = await fetch(`${this.#server.url}/api/v1/query?${new URLSearchParams({ query })}`);
    const body = (await response.json()) as {
      readonly error?: string;
      readonly data?: { readonly result: readonly { metric: Value["metric"]; value: [number, string] }[] };
    };
    if (!body.data) throw new Error(`${query}: ${body.error}`);
    return body.data.result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
    await rm(this.#targets, { recursive: true, force: true });
  }
}

const targetsFile = (targets: readonly Target[]) =>
  JSON.stringify(
    targets.map(({ url, instance }) => {
      const { host, protocol } = new URL(url);
      return { targets: [host], labels: { instance, __scheme__: protocol.slice(0, -1) } };
    }),
  );
