import type { Permission } from "../auth/auth.ts";
import { allows } from "../auth/capabilities.ts";
import { inboxOf, USER_NAMESPACE } from "../core/channel.ts";
import type { Access, NamespaceRules } from "../core/namespace.ts";
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
