import type { Permission } from "../../auth/auth.ts";
import { allows } from "../../auth/capabilities.ts";
import { type ChannelName, isForeignInbox, isKeptFrom } from "../../core/channel.ts";
import type { Access, NamespaceRules } from "../../core/namespace.ts";
import { unreachable } from "../../core/unreachable.ts";
import type { GatewayContext } from "../context.ts";
import type { Session } from "../session/session.ts";

/**
 * Whether a session may do something in a channel without a subscription token. A capability always suffices, but for
 * what the namespace grants to `nobody`; a user's inbox is never anybody else's, whatever stands anywhere.
 */
export function mayAccess(
  context: GatewayContext,
  session: Session,
  channel: ChannelName,
  permission: Permission,
): boolean {
  const { insecure } = context.options;
  const { id } = channel;
  if (isForeignInbox(channel, session.user)) return false;
  if (context.restrictions.denies(session.user, id)) return false;
  if (insecure && permission !== "sub") return true;
  const access = accessRule(context.hub.rules(channel), permission);
  if (access === "nobody") return false;
  if (insecure || allows(session.identity.capabilities, id, permission)) return true;
  const narrow = isKeptFrom(channel, session.user) || context.policy.needsSignature(channel);
  const rule = narrow ? narrowed(access, permission) : access;
  switch (rule) {
    case "anyone":
      return true;
    case "authenticated":
      return session.user !== "";
    case "subscriber":
      return session.subs.has(id);
    case "token":
      return false;
    default:
      return unreachable(rule);
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
    default:
      return unreachable(permission);
  }
}

/** A channel that is kept from the user takes a token, whatever the namespace lets everybody do. */
function narrowed(access: Exclude<Access, "nobody">, permission: Permission): Exclude<Access, "nobody"> {
  if (permission === "sub") return "token";
  return access === "token" ? access : "subscriber";
}

const VERBS = { sub: "subscribe", pub: "publish", prs: "presenceAccess", hst: "historyAccess" } as const;

/** Which right a refused client lacks, for whoever asks why. */
export function lacking(rules: NamespaceRules, permission: Permission): string {
  return `namespace ${rules.name} has ${VERBS[permission]}: ${accessRule(rules, permission)}`;
}
