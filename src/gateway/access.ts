import type { Permission } from "../auth/auth.ts";
import { allows } from "../auth/capabilities.ts";
import { channelKind } from "../auth/pusher-apps.ts";
import { type ChannelName, inboxOf, USER_NAMESPACE } from "../core/channel.ts";
import type { Access, NamespaceRules } from "../core/namespace.ts";
import type { Edge } from "./edge.ts";
import type { Session } from "./session.ts";

/**
 * Whether a session may do something in a channel without a subscription token. A capability always suffices, but for
 * what the namespace grants to `nobody`; a user's inbox is never anybody else's, whatever stands anywhere.
 */
export function mayAccess(
  session: Session,
  channel: string,
  rules: NamespaceRules,
  permission: Permission,
  insecure: boolean,
): boolean {
  if (rules.name === USER_NAMESPACE && (session.user === "" || channel !== inboxOf(session.user)))
    return false;
  if (insecure && permission !== "sub") return true;
  const access = accessRule(rules, permission);
  if (access === "nobody") return false;
  if (insecure || allows(session.identity.capabilities, channel, permission)) return true;
  switch (access) {
    case "anyone":
      return true;
    case "authenticated":
      return session.user !== "";
    case "subscriber":
      return session.subs.has(channel);
    case "token":
      return false;
  }
}

function accessRule(rules: NamespaceRules, permission: Permission): Access {
  switch (permission) {
    case "sub":
      return rules.subscribe;
    case "pub":
      return rules.publish;
    case "prs":
      return rules.presenceAccess;
    case "hst":
      return rules.historyAccess;
  }
}

/**
 * The rules for whoever subscribes to a channel with a connection token. What an application's Pusher clients need a
 * signature for is nobody else's either, whatever the namespace lets everybody do: it takes a token for that channel.
 */
export function guarded(edge: Edge, { namespace, name }: ChannelName, rules: NamespaceRules): NamespaceRules {
  if (!edge.apps.byNamespace(namespace) || channelKind(name).access === "public") return rules;
  return rules.subscribe === "nobody" ? rules : { ...rules, subscribe: "token" };
}
