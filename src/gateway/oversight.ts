import type { MissingStream, StreamOverview } from "../broker/streams.ts";
import type { Audit } from "../events/shapes.ts";
import type { Figures } from "./instance/figures.ts";
import type { Trouble } from "./instance/trouble.ts";

/** An instance that is known by its lease, and has not answered. */
interface MissingInstance {
  readonly instance: string;
  readonly region: string;
}

/** What all instances have answered. */
export interface FiguresAnswer {
  readonly instances: readonly Figures[];
  readonly missing: readonly MissingInstance[];
  /** Some may be missing whose names are not known. */
  readonly partial: boolean;
}

/** Something that went wrong, and where. */
interface LocatedTrouble extends Trouble {
  readonly instance: string;
  readonly region: string;
}

/** Who does something through a console, for the audit. */
export interface Actor {
  readonly via: NonNullable<Audit["via"]>;
  /** Their name. */
  readonly by?: string;
}

/** What operators look at: works from any instance about all others. */
export interface Oversight {
  /** How all instances are. */
  figures(): Promise<FiguresAnswer>;
  /** The newest refusals and ends of connections of each instance, the newest first. */
  troubles(): Promise<{ troubles: readonly LocatedTrouble[]; partial: boolean }>;
  /** The streams that keep messages; `undefined` where there are none. @throws CommandError brokerUnavailable */
  streams(): Promise<readonly (StreamOverview | MissingStream)[] | undefined>;
  /** Records that an operator did something: event `audit`, and a line of the log. */
  audit(audit: Audit): void;
}
