import { parseDuration } from "../config/units.ts";
import type { RestrictionMethod } from "../gateway/restrictions/restriction.ts";
import { askInstance } from "./ask.ts";
import { columns, print, UserError } from "./output.ts";

type Flags = Readonly<Record<string, string | true | undefined>>;

/** `trunkline revoke`, `block`, `unblock` and `list`: rights that are taken back, everywhere at once. @throws UserError */
export async function restrict(method: RestrictionMethod, flags: Flags): Promise<void> {
  const { url } = flags;
  const params = paramsOf(flags);
  const text = await askInstance(typeof url === "string" ? url : undefined, method, params);
  const result = JSON.parse(text) as object;
  if (method !== "restrictions" || flags.json) return print(JSON.stringify(result, null, 2));
  const { restrictions = [] } = result as { restrictions?: Record<string, unknown>[] };
  if (restrictions.length === 0) return print("nothing is revoked or blocked");
  print(columns(restrictions.map(row)));
}

function row({
  id,
  kind,
  expire_at: end,
  reason,
  created_at: _,
  ...target
}: Record<string, unknown>): string[] {
  const until = new Date(Number(end) * 1_000).toISOString();
  const what = Object.entries(target).map(([name, value]) => `${name}=${String(value)}`);
  return [String(kind), what.join(" "), `until ${until}`, String(id), String(reason ?? "")];
}

function paramsOf(flags: Flags): Record<string, unknown> {
  const { tokenId, user, address, channel, id, reason, issuedBefore, for: lasts } = flags;
  const given = { token_id: tokenId, user, address, channel, id, reason };
  const params: Record<string, unknown> = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  );
  if (typeof issuedBefore === "string") params.issued_before = unixSeconds(issuedBefore);
  if (typeof lasts === "string") {
    const ms = parseDuration(lasts);
    if (!ms) throw new UserError(`--for: ${lasts} is not a time such as 90s, 30m or 24h`);
    params.expire_at = Math.ceil((Date.now() + ms) / 1_000);
  }
  return params;
}

function unixSeconds(text: string): number {
  const seconds = /^\d+$/.test(text) ? Number(text) : Math.floor(Date.parse(text) / 1_000);
  if (Number.isSafeInteger(seconds)) return seconds;
  throw new UserError(`--issued-before: ${text} is not a time such as 2026-05-01T00:00:00Z`);
}
