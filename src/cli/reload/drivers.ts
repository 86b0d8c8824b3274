import { isDeepStrictEqual } from "node:util";
import type { Authenticator, FindCallouts } from "../../auth/auth.ts";
import type { Config } from "../../config.ts";

/** Something new that is ready and not in use yet: one of both is called, once. */
export interface Prepared {
  /** Takes it into use, in one step. */
  commit(): void;
  /** Lets it go again. */
  abandon(): void;
}

/** What an instance is given to check clients with, which other settings replace. */
export interface ReloadingDrivers {
  readonly authenticator: Authenticator;
  readonly callouts: FindCallouts;
  /** Gets ready what other settings need. @throws Error when it cannot be used, as at a start */
  prepare(next: Config): Promise<Prepared>;
}

/** How they are made from settings. */
export interface DriverMakers {
  authenticator(config: Config): Authenticator;
  callouts(config: Config): FindCallouts;
}

/** Drivers that are made anew where their settings have changed; questions under way are answered by those before. */
export function reloadingDrivers(config: Config, make: DriverMakers): ReloadingDrivers {
  let current = make.authenticator(config);
  let callouts = make.callouts(config);
  let inUse = copyOf(config);
  return {
    authenticator: {
      start: () => current.start(),
      close: () => current.close(),
      connection: (token) => current.connection(token),
      subscription: (token, channel, user) => current.subscription(token, channel, user),
    },
    callouts: (target) => callouts(target),
    async prepare(next) {
      const other = copyOf(next);
      const sameIssuers = isDeepStrictEqual(inUse.auth, other.auth);
      const authenticator = sameIssuers ? undefined : make.authenticator(next);
      try {
        await authenticator?.start();
      } catch (error) {
        await authenticator?.close();
        throw error;
      }
      const sameEndpoints = isDeepStrictEqual([inUse.endpoints, inUse.rpc], [other.endpoints, other.rpc]);
      const others = sameEndpoints ? callouts : make.callouts(next);
      return {
        commit() {
          inUse = other;
          callouts = others;
          if (!authenticator) return;
          void current.close();
          current = authenticator;
        },
        abandon: () => void authenticator?.close(),
      };
    },
  };
}

/** What they are made from: settings themselves may be changed in place. */
function copyOf({ auth, callouts, rpc }: Config) {
  return { auth: { ...auth }, endpoints: callouts.endpoints, rpc: { ...rpc } };
}
