import type { Instance } from "../cli/instance-parts.ts";
import { UserError } from "../cli/output.ts";
import { type Config, changesOf } from "../config.ts";

/** What {@link reloads} works on. */
interface ReloadParts {
  readonly config: Config;
  readonly instance: Pick<Instance, "prepare">;
  /** Reads settings as at a start, but for what is made up at each. @throws UserError */
  readonly read: (settings: Readonly<Record<string, unknown>>) => Config;
  /** Told of what is in effect from now on. */
  readonly changed: (config: Config) => void;
}

/** Takes other settings over, one after another, all of them or none; resolves with the names of those that changed. */
export function reloads({ config, instance, read, changed }: ReloadParts) {
  let current = config;
  let last: Promise<unknown> = Promise.resolve();
  const reload = async (settings: Readonly<Record<string, unknown>>): Promise<readonly string[]> => {
    const next = read(settings);
    const { live, restart } = changesOf(current, next);
    if (restart.length > 0) {
      const keys = restart.map(({ key }) => key).join(", ");
      throw new UserError(`nothing was changed:\n  ${keys}: only a gateway that starts takes it`);
    }
    const { commit } = await instance.prepare(next);
    commit();
    current = next;
    changed(next);
    return live.map(({ key }) => key);
  };
  return (settings: Readonly<Record<string, unknown>>): Promise<readonly string[]> => {
    const outcome = last.then(() => reload(settings));
    last = outcome.catch(() => {});
    return outcome;
  };
}
