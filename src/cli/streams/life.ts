import process from "node:process";
import { createInterface } from "node:readline/promises";
import { endedLife, lifeOf, newLifeId, type StreamLife } from "../../broker/nats/streams/identity.ts";
import type { Config } from "../../config.ts";
import { partsOf } from "../../core/partition.ts";
import { subjects } from "../../core/subject.ts";
import type { EventOf } from "../../events/shapes.ts";
import { headers } from "../../nats/client.ts";
import { type NatsSession, onNats } from "../nats/session.ts";
import { print, UserError } from "../output.ts";
import { readSettings } from "../settings.ts";

export interface LifeOptions {
  readonly config?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

const AUDIT_TIMEOUT_MS = 5_000;

/**
 * `trunkline life new <namespace>`: gives the streams of a namespace a new life, so that no position of the old one is
 * believed any more. Asks first. Each change is an event `audit`. @throws UserError
 */
export async function life(options: LifeOptions, [action, namespace = ""]: readonly string[]): Promise<void> {
  if (action !== "new" || namespace === "") throw new UserError("what to do? trunkline life new <namespace>");
  const { config } = await readSettings({ file: options.config });
  const names = streamsOf(config, namespace);
  await onNats(config, "trunkline life", async (session) => {
    const found = await Promise.all(names.map((name) => existing(name, session)));
    if (!options.json) print(announcement(namespace, names, found));
    if (!options.yes) await confirmed(namespace);
    const changed = [];
    for (const [index, name] of names.entries()) {
      changed.push({ stream: name, ...(await renew(name, found[index]!, config, session)) });
    }
    if (options.json) return print(JSON.stringify({ namespace, streams: changed }, null, 2));
    for (const { stream, before, life: now } of changed) print(`${stream}: life ${now}, was ${before}`);
  });
}

/** @throws UserError */
function streamsOf({ namespaces, nats }: Config, namespace: string): string[] {
  const rules = namespaces.get(namespace);
  const kept = [...namespaces.values()].filter(({ history }) => history !== null).map(({ name }) => name);
  if (!rules?.history) {
    throw new UserError(
      `${namespace} is not a namespace with history; those are ${kept.join(", ") || "none"}`,
    );
  }
  return partsOf(rules.partitions).map((part) => subjects(nats.root).stream(namespace, part));
}

/** @throws UserError */
async function existing(name: string, { streams }: NatsSession): Promise<StreamLife> {
  const info = await streams.info(name);
  if (!info) throw new UserError(`there is no stream ${name}: the first instance that starts makes it`);
  return lifeOf(info);
}

function announcement(namespace: string, names: readonly string[], found: readonly StreamLife[]): string {
  return [
    `New life for ${names.map((name, index) => `${name} (${found[index]!.id})`).join(", ")}.`,
    "Nothing that is stored is removed, and publishing goes on. But no position that anybody holds counts any more:",
    `- every client subscribed in ${namespace} is cut off from its channels (2500) and subscribes again at once;`,
    "- its recovery, and that of every client which is away now, is answered `recovered: false`: it loads its state again;",
    "- positions that services keep are refused (112), and copies in other regions are made anew.",
  ].join("\n");
}

/** @throws UserError unless somebody at a terminal types the namespace's name */
async function confirmed(namespace: string): Promise<void> {
  if (!process.stdin.isTTY) throw new UserError("there is nobody to ask: add --yes");
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const answer = await terminal.question(`Type ${namespace} to go on: `);
    if (answer.trim() !== namespace) throw new UserError("nothing was changed");
  } finally {
    terminal.close();
  }
}

async function renew(
  name: string,
  old: StreamLife,
  { nats, region }: Config,
  { streams, link }: NatsSession,
): Promise<{ before: string; life: string }> {
  const id = newLifeId();
  const now = await streams.rename(name, old, { id, before: [endedLife(old.id)] });
  if (now.id !== id) throw new UserError(`${name} was given another life (${now.id}) meanwhile: look again`);
  const out = headers();
  out.set("Nats-Msg-Id", `life:${name}:${id}`);
  const event: EventOf<"audit"> = {
    ...{ type: "audit", timeMs: Date.now(), instance: "command", region },
    ...{ action: "renewed", kind: "life", target: name, life: id, former: old.id, via: "command" },
  };
  await link.nc.request(subjects(nats.root).event("audit"), JSON.stringify(event), {
    ...{ headers: out, timeout: AUDIT_TIMEOUT_MS },
  });
  return { before: old.id, life: id };
}
