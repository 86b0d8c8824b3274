import type { Config } from "../../config.ts";
import { supervisorApp } from "../../http/admin.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import { serveOn } from "../serve-on.ts";

type ScrapedWorkers = Parameters<typeof supervisorApp>[0]["workers"];

/** The second port's own number, of which each worker has one above it: metrics of all, whichever worker is dead. */
export class SupervisorPort {
  readonly #workers: ScrapedWorkers;
  #app: ReturnType<typeof supervisorApp>;

  constructor(config: Config, workers: ScrapedWorkers) {
    this.#workers = workers;
    this.#app = this.#appOf(config);
  }

  /** Settings were changed. */
  reload(config: Config): void {
    this.#app = this.#appOf(config);
  }

  /** @throws UserError that names the port, when it is taken */
  listen(config: Config, runtime: Runtime): void {
    if (config.admin.port === 0) return;
    serveOn({ config, runtime }, { ...config.admin, fetch: (request) => this.#app.fetch(request) });
  }

  #appOf({ http }: Config) {
    return supervisorApp({ workers: this.#workers, metricsToken: http.metricsToken });
  }
}
