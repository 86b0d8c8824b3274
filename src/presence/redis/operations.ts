import { readTimeMs } from "../../core/numbers.ts";
import type { ClientInfo } from "../../core/publication.ts";
import type { ClaimTerms, ConnectionRecord, JoinOutcome, LeaveOutcome } from "../presence.ts";
import type { Keys } from "./keys.ts";
import { escapeName, packInfos, pair, unescapeName, unpair } from "./keys.ts";

/** One operation of the script `APPLY`, packed. */
export interface Operation {
  readonly keys: readonly string[];
  readonly args: readonly (string | number)[];
}

/** A membership to be written. */
interface Join {
  readonly channel: string;
  readonly info: ClientInfo;
  /** Of the channel, beyond which a new one is refused; 0: no limit. */
  readonly mostUsers: number;
}

/** Adds memberships of one connection of `instance`, and writes its record when given. */
export function holdOperation(
  keys: Keys,
  instance: string,
  client: string,
  record: ConnectionRecord | undefined,
  joins: readonly Join[],
): Operation {
  const operation = {
    keys: [keys.connection(client), keys.user(record?.user ?? "")],
    args: [
      "H",
      escapeName(client),
      pair(instance, client),
      record && record.user !== "" ? 1 : 0,
      record ? 1 : 0,
    ] as (string | number)[],
  };
  if (record) {
    const { user, device, region, instance, ip, sinceMs } = record;
    operation.args.push(user, device, region, instance, ip, sinceMs);
  }
  operation.args.push(joins.length);
  for (const { channel, info, mostUsers } of joins) {
    operation.keys.push(keys.members(channel), keys.users(channel));
    operation.args.push(escapeName(channel), escapeName(info.user), packInfos(info), mostUsers);
  }
  return operation;
}

/** The same for a connection without memberships, unless its user has `limit` others; what is ignored does not count. */
export function claimOperation(
  keys: Keys,
  instance: string,
  record: ConnectionRecord,
  { limit, ignore }: ClaimTerms,
): Operation {
  const held = holdOperation(keys, instance, record.client, record, []);
  const members = ignore.map((other) => pair(other.instance, other.client));
  return { keys: held.keys, args: ["C", limit, members.length, ...members, ...held.args.slice(1)] };
}

/** Reads the answer to a claim. The others are known by name only. */
export function readClaim(answer: string): {
  admitted: boolean;
  others: { instance: string; client: string }[];
} {
  const [admitted, ...members] = answer.split(" ");
  return {
    admitted: admitted === "1",
    others: members
      .filter((member) => member !== "")
      .map((member) => {
        const [instance, client] = unpair(member);
        return { instance, client };
      }),
  };
}

export interface Release {
  readonly instance: string;
  readonly client: string;
  readonly user: string;
  /** Whose memberships go: what another lease of the same instance wrote stays. */
  readonly holder: string;
  readonly generation: string;
  readonly channels: readonly string[];
  /** The connection goes too. */
  readonly whole: boolean;
  /** Kept in the swept hash with what was removed, until it is told. */
  readonly report?: string;
}

export function releaseOperation(keys: Keys, release: Release): Operation {
  const { instance, client, user, holder, generation, channels, whole, report = "" } = release;
  const operation = {
    keys: [keys.connection(client), keys.user(user), keys.held(holder), keys.swept(holder)],
    args: [
      "R",
      generation,
      escapeName(client),
      pair(instance, client),
      whole ? 1 : 0,
      report,
      channels.length,
      ...channels.map(escapeName),
    ],
  };
  for (const channel of channels) operation.keys.push(keys.members(channel), keys.users(channel));
  return operation;
}

export function joinOutcome(digit: string | number): JoinOutcome {
  const bits = Number(digit);
  const outcome = { firstOfUser: (bits & 1) !== 0, firstOfChannel: (bits & 2) !== 0 };
  return (bits & 8) !== 0 ? { ...outcome, refused: true } : outcome;
}

export function leaveOutcome(digit: string | number): LeaveOutcome {
  return { lastOfUser: (Number(digit) & 1) !== 0, lastOfChannel: (Number(digit) & 2) !== 0 };
}

/** Whether a release has removed a membership, which may have been gone before. */
export function wasRemoved(digit: string): boolean {
  return (Number(digit) & 4) !== 0;
}

/** What `tl:conn:{client}` holds. */
export interface StoredConnection {
  /** Absent when only memberships were written. */
  readonly record: ConnectionRecord | undefined;
  /** Of the lease the connection was last written under. */
  readonly generation: string;
  /** Memberships by the generation they were written under. */
  readonly channels: ReadonlyMap<string, string>;
}

/** Reads the answer to `HGETALL tl:conn:{client}`; `undefined` when there is no such connection. */
export function storedConnection(client: string, flat: readonly string[]): StoredConnection | undefined {
  if (flat.length === 0) return undefined;
  const fields = new Map<string, string>();
  const channels = new Map<string, string>();
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const [name, value] = [flat[at]!, flat[at + 1]!];
    if (name.startsWith("@")) channels.set(unescapeName(name.slice(1)), value);
    else fields.set(name, value);
  }
  const field = (name: string) => fields.get(name) ?? "";
  const record = fields.has("since")
    ? {
        client,
        user: field("user"),
        device: field("device"),
        region: field("region"),
        instance: field("instance"),
        ip: field("ip"),
        sinceMs: readTimeMs(field("since")),
      }
    : undefined;
  return { record, generation: field("gen"), channels };
}
