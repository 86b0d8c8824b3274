import type { HistoryRules, NamespaceRules } from "../../../core/namespace.ts";
import { partsOf } from "../../../core/partition.ts";
import type { Subjects } from "../../../core/subject.ts";
import type { EventOf } from "../../../events/shapes.ts";
import type { Flaw } from "../../body.ts";
import type { Foundation } from "../foundation.ts";
import { Pool } from "../link/pool.ts";
import type { EventQueue } from "../publish/event-queue.ts";
import { channelStream } from "../streams/config.ts";
import type { StreamLife } from "../streams/identity.ts";
import { EphemeralFollower } from "./ephemeral.ts";
import { StreamFollower } from "./follower.ts";
import { NamespaceFollowers } from "./followers.ts";

/** The rules of a namespace with history. */
export type KeptRules = NamespaceRules & { readonly history: HistoryRules };

/** Reports that a message is left out. @param stream the follower it came through; undefined without history */
export type ReportRejected = (
  channel: { readonly id: string },
  offset: number,
  flaw: Flaw,
  stream?: StreamFollower,
) => void;

/** Channels of a namespace read from its streams at a time. */
const READ_AT_A_TIME = 64;

export function hasHistory(rules: NamespaceRules): rules is KeptRules {
  return rules.history !== null;
}

/** What all followers are given. */
function followerOptions({ link, log, stats, lingerMs = 10_000, traced, intercept }: Foundation) {
  return { link, log, stats, lingerMs, traced, ...(intercept && { intercept }) };
}

/** Followers of a namespace's streams. */
export function followNamespace(
  foundation: Foundation,
  rules: KeptRules,
  lives: ReadonlyMap<string, StreamLife>,
  report: ReportRejected,
): NamespaceFollowers {
  const { subjects, link, placement } = foundation;
  const { partitions } = rules;
  const common = { ...followerOptions(foundation), rules, pool: new Pool(READ_AT_A_TIME) };
  const all = partsOf(partitions).map((part) => {
    const wanted = channelStream(subjects, rules, link.messageTtl, part);
    const life = lives.get(wanted.name)!;
    const store = placement.open(wanted, life);
    const options = {
      ...common,
      store,
      listen: subjects.live,
      subject: (name: Parameters<Subjects["stored"]>[0]) => subjects.stored(name, partitions),
      nameOf: (subject: string) => subjects.channel(subject)?.name,
      cleared: (name: Parameters<Subjects["cleared"]>[0]) => subjects.cleared(name, partitions),
      rejected: (...[channel, offset, flaw]: Parameters<ReportRejected>) =>
        report(channel, offset, flaw, follower),
      lives: placement.lives(store, () => follower.high),
    };
    const follower: StreamFollower = new StreamFollower(options, life);
    return follower;
  });
  return new NamespaceFollowers(all);
}

export function followEphemeral(
  foundation: Foundation,
  rules: NamespaceRules,
  report: ReportRejected,
): EphemeralFollower {
  const subject = foundation.subjects.message;
  const rejected = (...[channel, offset, flaw]: Parameters<ReportRejected>) => report(channel, offset, flaw);
  return new EphemeralFollower({
    ...followerOptions(foundation),
    ...{ rules, rejected, subject, listen: subject },
  });
}

/** Counts, logs and records messages that are left out; all instances use the same id for one that has a sequence. */
export function rejectionReporter(foundation: Foundation, events: EventQueue): ReportRejected {
  const { stats, log, instance, region } = foundation;
  return (channel, offset, reason, follower) => {
    stats.bodiesRejected++;
    log.debug("message rejected", { channel: channel.id, reason });
    const id = follower && `rejected:${follower.store.stream}:${follower.epoch}:${offset}`;
    const event: EventOf<"rejected"> = {
      ...{ type: "rejected", timeMs: Date.now(), instance, region, channel: channel.id, reason },
      ...(offset > 0 && { offset }),
    };
    events.emit("rejected", event, id);
  };
}
