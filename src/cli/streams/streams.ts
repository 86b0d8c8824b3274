import process from "node:process";
import { isEnded } from "../../broker/nats/streams/identity.ts";
import { streamOverviews } from "../../broker/nats/streams/overview.ts";
import { DISAGREEMENT_REMEDY } from "../../broker/nats/streams/replica-check.ts";
import type { MissingStream, StreamOverview } from "../../broker/streams.ts";
import { subjects } from "../../core/subject.ts";
import { onNats } from "../nats/session.ts";
import { columns, paint, print } from "../output.ts";
import { readSettings } from "../settings.ts";

export interface StreamsOptions {
  readonly config?: string;
  readonly json?: boolean;
}

const HEAD = ["stream", "life", "messages", "sequences", "bytes", "full", "newest", "copies"];

/**
 * `trunkline streams`: what the streams of channels are, have been and hold. The exit code is 1 when replicas of one
 * disagree. @throws UserError
 */
export async function streams({ config: file, json }: StreamsOptions): Promise<void> {
  const { config } = await readSettings({ file });
  const found = await onNats(config, "trunkline streams", (session) =>
    streamOverviews(subjects(config.nats.root), config.namespaces, session),
  );
  print(json ? JSON.stringify({ streams: found }, null, 2) : toTable(found, Date.now()));
  if (found.some((one) => "disagreeAt" in one)) process.exitCode = 1;
}

/** A line for each stream, and below it what was and is the matter with it. */
export function toTable(found: readonly (StreamOverview | MissingStream)[], nowMs: number): string {
  if (found.length === 0) return "no namespace keeps history";
  const lines = columns([HEAD, ...found.map((one) => row(one, nowMs))]).split("\n");
  const [head = "", ...rows] = lines;
  return [
    paint("bold", head),
    ...found.flatMap((one, index) => [rows[index]!, ...("missing" in one ? [] : [...remarks(one)])]),
  ].join("\n");
}

function row(one: StreamOverview | MissingStream, nowMs: number): string[] {
  if ("missing" in one) return [one.stream, one.missing, "", "", "", "", "", ""];
  const { stream, life, messages, firstSequence, lastSequence, bytes, full, tail, copies } = one;
  return [
    ...[stream, life, String(messages), `${firstSequence}–${lastSequence}`, size(bytes)],
    full === undefined ? "no limit" : `${Math.round(full * 100)} %`,
    tail?.stored === undefined ? "-" : ago(nowMs - Date.parse(tail.stored)),
    copies
      .map(
        ({ region, lag, current }) =>
          `${region} ${current ? (lag ? `-${lag}` : "level") : "of another life"}`,
      )
      .join(", ") || "-",
  ];
}

function* remarks({ named, life, aliases, disagreeAt, leader, replicas }: StreamOverview): Generator<string> {
  if (!named) yield `  the id is not written down: ${life} is made of the time of creation`;
  for (const former of aliases) {
    yield isEnded(former)
      ? `  before: ${former.id}, ended by an operator`
      : `  before: ${former.id} up to ${former.fork}, cut at ${former.mark}`;
  }
  if (leader !== undefined && replicas.length > 0) {
    const others = replicas.map(({ name, current, lag }) => `${name} ${current ? "current" : `-${lag}`}`);
    yield `  led by ${leader}; ${others.join(", ")}`;
  }
  if (disagreeAt !== undefined) {
    yield `  ${paint("red", `the replicas disagree at sequence ${disagreeAt}`)}: ${DISAGREEMENT_REMEDY}`;
  }
}

function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

function ago(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3_600)} h ago`;
}
