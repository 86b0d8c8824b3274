import type { NamespaceRules } from "../../../core/namespace.ts";
import { partitionOf, partsOf } from "../../../core/partition.ts";
import type { Subjects } from "../../../core/subject.ts";
import { headers } from "../../../nats/client.ts";
import type { Link } from "../link/link.ts";
import { RequestError } from "../link/requests.ts";
import { StartError } from "../link/start-error.ts";
import { withTimeout } from "../link/timeout.ts";

/** How long the server may take to bring our own messages back, ms. */
const ECHO_TIMEOUT_MS = 3_000;
/** Names tried for each number of tokens: one of them finds a mapping out that hashes otherwise. */
const VARIANTS = 3;

/**
 * Looks where the server leads what services publish to a namespace, by listening to messages of our own that no
 * stream takes in (they expect a stream that does not exist). Resolves with what is wrong, if anything is.
 * @throws RequestError when the link is lost, or the server silent
 */
export async function misrouted(
  { nc }: Link,
  subjects: Subjects,
  { name: namespace, partitions }: Pick<NamespaceRules, "name" | "partitions">,
): Promise<StartError | undefined> {
  const parts = partsOf(partitions);
  /** Where each is to arrive, by its body. */
  const wanted = new Map<string, string>();
  const found = new Map<string, string>();
  const run = crypto.randomUUID();
  const listen = (subject: string) =>
    nc.subscribe(subject, {
      callback: (error, message) => {
        const body = error ? "" : message.string();
        if (wanted.has(body)) found.set(body, message.subject);
      },
    });
  const listening = [subjects.messages(namespace), subjects.divided(namespace)].map(listen);
  try {
    const out = headers();
    out.set("Nats-Expected-Stream", "%");
    for (const tail of probes(partitions === 1 ? 1 : subjects.mapping(namespace, partitions).length)) {
      const part = partitions === 1 ? undefined : parts[partitionOf(tail, partitions)];
      wanted.set(run + tail, subjects.messages(namespace, part).replace(">", tail));
      nc.publish(subjects.messages(namespace).replace(">", tail), run + tail, { headers: out });
    }
    // What comes back to ourselves comes before the answer to a ping sent after it.
    const flushed = nc.flush().catch(() => {
      throw new RequestError("lost", subjects.messages(namespace));
    });
    if (!(await withTimeout(flushed, ECHO_TIMEOUT_MS)))
      throw new RequestError("timeout", subjects.messages(namespace));
  } finally {
    for (const subscription of listening) subscription.unsubscribe();
  }
  for (const [body, right] of wanted) {
    const is = found.get(body);
    // Without partitions a user need not be allowed to listen there.
    if (is === undefined && partitions === 1) continue;
    if (is !== right) return wrongWay(subjects, namespace, partitions, right, is);
  }
  return undefined;
}

/** Tails that no channel's name has, of every number of tokens that a mapping tells apart. */
function probes(lengths: number): string[] {
  return Array.from({ length: lengths * VARIANTS }, (_, index) =>
    Array.from({ length: (index % lengths) + 1 }, (_, token) => `%${index}${token}`).join("."),
  );
}

function wrongWay(
  subjects: Subjects,
  namespace: string,
  partitions: number,
  right: string,
  is: string | undefined,
): StartError {
  const all = subjects.messages(namespace);
  return new StartError(
    "mapping",
    `what is published on ${all} must get to ${right}, and ${is ? `gets to ${is}` : "gets nowhere that this user may listen"}`,
    partitions === 1
      ? `Take the mappings of ${all} out of nats-server's configuration, and reload it: nats-server --signal reload`
      : "Put the mappings that `trunkline config --nats` prints into nats-server's configuration, and reload it: " +
          "nats-server --signal reload",
  );
}
