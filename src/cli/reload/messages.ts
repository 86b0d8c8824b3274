import type { ReloadOutcome } from "../../http/admin.ts";
import type { SettingsTexts } from "../settings.ts";

/** What a worker tells its supervisor. */
export type FromWorker =
  /** Where it listens. */
  | { readonly kind: "listening"; readonly url: string }
  /** The settings of this number are ready to be taken over; or why not. */
  | { readonly kind: "prepared"; readonly id: number; readonly problems: readonly string[] }
  /** Somebody asks for a reload here. */
  | { readonly kind: "reload"; readonly id: number }
  /** Somebody asks here for the metrics of all workers. */
  | { readonly kind: "scrape"; readonly id: number }
  /** Its own metrics, in answer to `read`. */
  | { readonly kind: "page"; readonly id: number; readonly text: string };

/**
 * What a supervisor tells its workers. Doing it twice is doing it once: signals may reach a worker as well. A number names a
 * reload, or a question of the worker's or for its metrics.
 */
export type ToWorker =
  | { readonly kind: "leave" }
  | { readonly kind: "prepare"; readonly id: number; readonly texts: SettingsTexts }
  | { readonly kind: "commit" | "abandon"; readonly id: number }
  | { readonly kind: "reloaded"; readonly id: number; readonly outcome: ReloadOutcome }
  /** To tell its own metrics. */
  | { readonly kind: "read"; readonly id: number }
  /** The metrics of all. */
  | { readonly kind: "scraped"; readonly id: number; readonly text: string };
