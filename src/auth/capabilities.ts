import { unreachable } from "../core/unreachable.ts";
import type { Capability, CompiledCapability, Permission } from "./auth.ts";
import { compilePattern } from "./pattern.ts";

/** Most capabilities one identity may hold. */
export const MAX_CAPABILITIES = 64;

/** Most names or patterns in one capability. */
export const MAX_CAPABILITY_CHANNELS = 128;

/** Most regular expressions of one identity, over all its capabilities. */
export const MAX_PATTERNS = 16;

/**
 * Makes capabilities ready for {@link allows}. Names match whole channel names, namespace included: `exact` as they
 * stand, `wildcard` with `*` for any characters (none and `:` included), `regex` as {@link compilePattern} says:
 * anchored, a safe subset, linear time.
 *
 * @throws SyntaxError over the limits, or for a pattern that is refused
 */
export function compileCapabilities(capabilities: readonly Capability[]): readonly CompiledCapability[] {
  if (capabilities.length > MAX_CAPABILITIES) throw new SyntaxError("too many capabilities");
  let patterns = 0;
  return capabilities.map(({ channels, match, allow }) => {
    if (channels.length > MAX_CAPABILITY_CHANNELS) throw new SyntaxError("too many channels in a capability");
    if (match === "regex") patterns += channels.length;
    if (patterns > MAX_PATTERNS) throw new SyntaxError("too many patterns");
    return { channels, match, allow, matches: compile(channels, match) };
  });
}

/** Whether one of the capabilities allows it. */
export function allows(
  capabilities: readonly CompiledCapability[],
  channel: string,
  permission: Permission,
): boolean {
  for (const capability of capabilities) {
    if (capability.allow.includes(permission) && capability.matches(channel)) return true;
  }
  return false;
}

function compile(channels: readonly string[], match: Capability["match"]): (channel: string) => boolean {
  switch (match) {
    case "exact":
      return (channel) => channels.includes(channel);
    case "wildcard":
      return (channel) => channels.some((pattern) => wildcardMatches(pattern, channel));
    case "regex": {
      const tests = channels.map(compilePattern);
      return (channel) => tests.some((test) => test(channel));
    }
    default:
      return unreachable(match);
  }
}

/** Whether the whole text matches; `*` stands for any characters, everything else for itself. O(pattern × text). */
export function wildcardMatches(pattern: string, text: string): boolean {
  let p = 0;
  let t = 0;
  // Where to go on when a character does not fit: the latest star, which then swallows one character more. Earlier
  // stars need no second try, for whatever they could yield the latest one can take up.
  let star = -1;
  let resume = 0;
  while (t < text.length) {
    if (pattern[p] === "*") {
      star = p++;
      resume = t;
    } else if (pattern[p] === text[t]) {
      p++;
      t++;
    } else if (star >= 0) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}
