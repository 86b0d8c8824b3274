import type { Authenticator, Callouts, Capability, Identity } from "../../src/auth/auth.ts";
import { compileCapabilities } from "../../src/auth/capabilities.ts";
import { Closes, CommandError, ConnectionError, Errors } from "../../src/core/errors.ts";

/** A connection or subscription token for the fixture's own authenticator: what it grants, as it stands. */
export function token(grant: {
  readonly user: string;
  readonly channel?: string;
  readonly caps?: readonly Capability[];
  readonly [more: string]: unknown;
}): string {
  return JSON.stringify(grant);
}

function readToken(text: string) {
  if (text === "expired") throw new CommandError(Errors.tokenExpired);
  if (!text.startsWith("{")) throw new ConnectionError(Closes.invalidToken);
  return JSON.parse(text) as { user: string; channel?: string; caps?: Capability[] };
}

/** Takes what {@link token} makes, and the text "expired" for a token that is. */
export const fakeAuthenticator: Authenticator = {
  async start() {},
  async close() {},
  async connection(text): Promise<Identity> {
    const { caps = [], ...identity } = readToken(text);
    return { subscriptions: [], ...identity, capabilities: compileCapabilities(caps) };
  },
  async subscription(text, channel, user) {
    const { user: of, channel: to, caps: _, ...grant } = readToken(text);
    if (of !== user || to !== channel) throw new ConnectionError(Closes.invalidToken);
    return grant;
  },
};

/** Services that do not answer. */
export const noCallouts: Callouts = {
  connect: () => Promise.reject(new CommandError(Errors.internal)),
  subscribe: () => Promise.reject(new CommandError(Errors.internal)),
  publish: () => Promise.reject(new CommandError(Errors.internal)),
  refresh: () => Promise.reject(new CommandError(Errors.internal)),
  subRefresh: () => Promise.reject(new CommandError(Errors.internal)),
  rpc: () => Promise.reject(new CommandError(Errors.internal)),
};
