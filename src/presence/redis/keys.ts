import { isJsonLine } from "../../core/json-check.ts";
import type { ClientInfo } from "../../core/publication.ts";

/**
 * Every Redis key and packed field of presence is built here, and each way of building one is a bijection: no names,
 * whatever characters they have, can meet in one key (`tests/unit/presence-keys.test.ts`).
 *
 * A key is the prefix, a kind without a colon, a colon, and one escaped name. Where two names stand together they are
 * joined by `|`, which never stands in an escaped name; packed values join their parts by a space, likewise.
 */
export interface Keys {
  /** Hash: the lease of an instance (`gen`, `prev`, `region`, `connections`). Lives as long as the instance renews it. */
  lease(instance: string): string;
  /** Set of all holders whose traces may still be in Redis. */
  readonly holders: string;
  /** Set of the clients one holder has written. */
  held(holder: string): string;
  /** Hash: what was removed of a dead holder and is yet to be told to the listeners, by client. */
  swept(holder: string): string;
  /** Hash of one connection; beside the record a field `@channel` for each membership. */
  connection(client: string): string;
  /** Set of a user's connections. */
  user(user: string): string;
  /** Hash of a channel's members. */
  members(channel: string): string;
  /** Hash: how many members each user has in a channel. */
  users(channel: string): string;
  cursor(user: string, device: string): string;
  /** Who may sweep now. */
  readonly sweepLock: string;
  /** Exists while somebody has watched for dead instances without a pause. */
  readonly sweepWatched: string;
  /** Exists while a missing lease is no proof of death, because the watch was interrupted. */
  readonly sweepHoldOff: string;
  /** Written and deleted in one step, to see whether that is allowed. */
  readonly probe: string;
}

export function presenceKeys(prefix: string): Keys {
  return {
    lease: (instance) => `${prefix}inst:${escapeName(instance)}`,
    holders: `${prefix}holders`,
    held: (holder) => `${prefix}held:${holder}`,
    swept: (holder) => `${prefix}swept:${holder}`,
    connection: (client) => `${prefix}conn:${escapeName(client)}`,
    user: (user) => `${prefix}user:${escapeName(user)}`,
    members: (channel) => `${prefix}pres:${escapeName(channel)}`,
    users: (channel) => `${prefix}users:${escapeName(channel)}`,
    cursor: (user, device) => `${prefix}cursor:${pair(user, device)}`,
    sweepLock: `${prefix}sweep:lock`,
    sweepWatched: `${prefix}sweep:watched`,
    sweepHoldOff: `${prefix}sweep:holdoff`,
    probe: `${prefix}probe`,
  };
}

// Control characters and spaces for the packed fields and whoever reads keys, braces because Redis would see a hash tag, `|` and `%` for
// the bijection, lone surrogates because they have no UTF-8 form.
const UNSAFE = /[\0-\x20%{|}\x7f]|\p{Surrogate}/gu;
const ESCAPED = /%(?:u([0-9A-F]{4})|([0-9A-F]{2}))/g;

/** Makes any string safe as part of a key or packed field; most names come out as they are. */
export function escapeName(name: string): string {
  return name.replace(UNSAFE, (unsafe) => {
    const code = unsafe.charCodeAt(0).toString(16).toUpperCase();
    return code.length > 2 ? `%u${code}` : `%${code.padStart(2, "0")}`;
  });
}

/** The inverse of {@link escapeName}. */
export function unescapeName(escaped: string): string {
  return escaped.replace(ESCAPED, (_, long?: string, short?: string) =>
    String.fromCharCode(Number.parseInt(long ?? short ?? "", 16)),
  );
}

/** Two names as one field: `instance|client`. */
export function pair(left: string, right: string): string {
  return `${escapeName(left)}|${escapeName(right)}`;
}

/** The inverse of {@link pair}. */
export function unpair(packed: string): [left: string, right: string] {
  const bar = packed.indexOf("|");
  return [unescapeName(packed.slice(0, bar)), unescapeName(packed.slice(bar + 1))];
}

/**
 * The JSON texts a member carries beside its user, packed; empty when there are none, and never with a newline. The
 * members hash holds for `instance|client`: the generation it was written under, the escaped user, and this.
 */
export function packInfos({ connInfo, chanInfo }: ClientInfo): string {
  if (connInfo === undefined && chanInfo === undefined) return "";
  return JSON.stringify([connInfo ?? null, chanInfo ?? null]);
}

/** Reads a value of the members hash; `undefined` when it is none of ours: anybody with the password may write there. */
export function unpackMember(client: string, value: string): ClientInfo | undefined {
  const first = value.indexOf(" ");
  const second = value.indexOf(" ", first + 1);
  if (first < 0 || second < 0) return undefined;
  const user = unescapeName(value.slice(first + 1, second));
  const infos = value.slice(second + 1);
  if (infos === "") return { client, user };
  const [connInfo, chanInfo] = readInfos(infos) ?? [];
  if (connInfo === undefined || chanInfo === undefined) return undefined;
  return {
    client,
    user,
    ...(connInfo !== null && { connInfo }),
    ...(chanInfo !== null && { chanInfo }),
  };
}

/** Reads fields and values of the members hash, each as {@link unpackMember}. */
export function unpackMembers(flat: readonly string[]): (ClientInfo | undefined)[] {
  const members: (ClientInfo | undefined)[] = [];
  for (let at = 0; at + 1 < flat.length; at += 2) {
    members.push(unpackMember(unpair(flat[at]!)[1], flat[at + 1]!));
  }
  return members;
}

/** The two texts of {@link packInfos}, `null` where one is absent; `undefined` when they are not JSON texts. */
function readInfos(packed: string): readonly (string | null)[] | undefined {
  try {
    const infos: unknown = JSON.parse(packed);
    if (!Array.isArray(infos)) return undefined;
    return infos.every((info) => info === null || (typeof info === "string" && isJsonLine(info)))
      ? (infos as (string | null)[])
      : undefined;
  } catch {
    return undefined;
  }
}
