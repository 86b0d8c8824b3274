import type { NamespaceRules } from "../../../core/namespace.ts";
import { partsOf } from "../../../core/partition.ts";
import type { Subjects } from "../../../core/subject.ts";
import { StartError } from "../link/start-error.ts";
import type { StreamAdmin } from "./admin.ts";

/** Streams named in an error's text. */
const NAMED = 3;

/**
 * Why a namespace with history cannot have as many partitions as its rules say: there are streams of another number.
 * Instances that divide it in two ways at once would tear channels apart, half of the messages in one stream and half
 * in another. @throws RequestError
 */
export async function foreignLayout(
  streams: StreamAdmin,
  subjects: Subjects,
  { name, partitions }: Pick<NamespaceRules, "name" | "partitions">,
): Promise<StartError | undefined> {
  const undivided = subjects.stream(name);
  const wanted = new Set(partsOf(partitions).map((part) => subjects.stream(name, part)));
  const [divided, whole] = await Promise.all([
    streams.capturing(subjects.divided(name)),
    streams.capturing(subjects.messages(name)),
  ]);
  // Streams of other names are not ours.
  const own = [
    ...divided.filter((one) => one.startsWith(`${undivided}_p`)),
    ...whole.filter((one) => one === undivided),
  ];
  const others = own.filter((one) => !wanted.has(one)).sort();
  if (others.length === 0) return undefined;
  const rest = others.length > NAMED ? ` and ${others.length - NAMED} more` : "";
  return new StartError(
    "stream",
    `namespace ${name} is to have ${partitions} partition${partitions === 1 ? "" : "s"}, and ` +
      `${others.slice(0, NAMED).join(", ")}${rest} hold another number of them`,
    "To give up what they hold: stop all instances, type " +
      `${others.map((one) => `nats stream rm -f ${one}`).join("; ")} and start the instances again`,
  );
}
