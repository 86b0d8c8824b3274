import type { StreamAdmin } from "../../broker/nats/streams/admin.ts";
import type { WantedStream } from "../../broker/nats/streams/config.ts";
import type { Subjects } from "../../core/subject.ts";
import type { Finding } from "./report.ts";

export interface RegionChecks {
  readonly streams: Pick<StreamAdmin, "info">;
  readonly names: Subjects;
  readonly wanted: readonly WantedStream[];
  /** The region of this instance. */
  readonly region: string;
  /** What the NATS servers here call their cluster; none where they are in no cluster. */
  readonly cluster: string | undefined;
}

/** From so many messages on, a copy is worth a word: it is measured while others publish. */
const BEHIND = 1_000;

/** Where a stream lives, for the end of a sentence; "" where it may live anywhere. */
export function homeText({ placement }: WantedStream): string {
  return placement?.cluster === undefined ? "" : `; its home is ${placement.cluster}`;
}

/** Checks what regions need: a NATS cluster called as this region, and the copies of streams whose home is another one. */
export async function checkRegions(checks: RegionChecks): Promise<Finding[]> {
  const { wanted, region, cluster } = checks;
  if (wanted.every(({ placement }) => placement === undefined)) return [];
  const check = "nats cluster";
  const fix = `cluster { name: ${region} }   in nats-server's configuration`;
  if (cluster === undefined) {
    const cause = "outside of clusters homes mean nothing, and a second region cannot be joined to it";
    return [{ check, verdict: "warning", what: "the server is in none", cause, fix }];
  }
  if (cluster !== region) {
    return [
      {
        ...{ check, verdict: "failed", what: `it is called ${cluster}` },
        cause: `this instance is in region ${region}: without a cluster of that name no stream and no copy can be kept here`,
        fix: `${fix}, or REGION=${cluster}`,
      },
    ];
  }
  const far = wanted.filter(({ placement, republish }) => republish && placement?.cluster !== region);
  return [
    { check, verdict: "ok", what: `${cluster}, as this region` },
    ...(await Promise.all(far.map(({ name }) => checkCopy(checks, name)))),
  ];
}

async function checkCopy({ streams, names, region }: RegionChecks, origin: string): Promise<Finding> {
  const name = names.mirror(origin, region);
  const check = `copy ${name}`;
  // A home that is away is no reason to say nothing of the copy.
  const [copy, home] = await Promise.all([streams.info(name), streams.info(origin).catch(() => null)]);
  if (!copy)
    return { check, verdict: "ok", what: "is made by the first instance of this region that starts" };
  if (!home) {
    const what = "its home does not answer: it is read as it is";
    return { check, verdict: "warning", what, fix: `nats stream info ${origin}` };
  }
  const behind = Math.max(0, home.state.last_seq - copy.state.last_seq);
  const what =
    behind === 0 ? "level with its home" : `${behind.toLocaleString("en")} messages behind its home`;
  if (behind < BEHIND) return { check, verdict: "ok", what };
  const cause = copy.mirror?.error?.description ?? "the link between the regions is slow, or cut";
  return { check, verdict: "warning", what, cause, fix: `nats stream info ${name}` };
}
