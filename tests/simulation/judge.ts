import type { ChannelName } from "../../src/core/channel.ts";
import { subjects } from "../../src/core/subject.ts";
import { isBefore, sequenceOf } from "../../src/core/tag.ts";
import type { SimServers } from "./server.ts";

/** What a client has had without a gap, since it began or was told of one. */
export interface Segment {
  /** Everything after this sequence is in {@link bodies}. */
  readonly start: number;
  readonly startedAt: number;
  /** By rising sequence, as they came. */
  readonly bodies: { readonly seq: number; readonly body: string }[];
}

/** A client as far as it is judged. */
export interface Judged {
  readonly name: string;
  readonly channel: ChannelName;
  readonly segment: Segment | undefined;
  readonly subscribed: boolean;
  /** What it was ever given, also before it was told of a gap: each storing of a message once. */
  readonly had: Set<string>;
}

/** Ways in which a run can be wrong. */
export type Wrong =
  | "order"
  | "repeat"
  | "content"
  | "needless"
  | "believed"
  | "acknowledged"
  | "stuck"
  | "crash";

/** From here on offsets name messages; below they are sequences themselves. */
const TAGS = 65_536;
/** After a loss it may take so long until everybody has found it, ms. */
const NOTICE_MS = 30_000;
/** Lines of a history that are kept. */
const LINES = 5_000;

/** Knows what was stored, and judges what clients were given and told. */
export class Judge {
  readonly wrongs: { readonly wrong: Wrong; readonly text: string }[] = [];
  readonly history: string[] = [];
  readonly #servers: SimServers;
  /** When the store lost something, ms. */
  readonly #losses: number[] = [];
  tolds = 0;

  constructor(servers: SimServers) {
    this.#servers = servers;
  }

  note(text: string): void {
    if (this.history.length < LINES)
      this.history.push(`${this.#servers.clock.now.toFixed(1).padStart(9)}  ${text}`);
  }

  accuse(wrong: Wrong, text: string): void {
    this.note(`WRONG (${wrong}): ${text}`);
    this.wrongs.push({ wrong, text });
  }

  /** The store has just lost something. */
  lossHappened(): void {
    this.#losses.push(this.#servers.clock.now);
  }

  lossSince(at: number): boolean {
    return this.#losses.some((one) => one >= at - NOTICE_MS);
  }

  /** The sequence that an offset names; offsets may be sequences themselves. */
  sequenceOf(offset: number): number {
    return offset < TAGS ? offset : sequenceOf(offset);
  }

  /** The sequence after which a client with this offset lacks everything. */
  startOf(offset: number): number {
    const seq = this.sequenceOf(offset);
    return offset >= TAGS && isBefore(offset) ? seq - 1 : seq;
  }

  /** Subject that a client's channel is stored under. */
  subjectOf({ channel }: Judged): string {
    return subjects().message(channel);
  }

  /** What stands in the stream on a subject after a sequence, or once stood and was not lost. */
  pastOf(subject: string, after: number): { readonly seq: number; readonly body: string }[] {
    return [...(this.#streamOf(subject)?.past ?? [])]
      .filter(([seq, one]) => seq > after && one.subject === subject)
      .map(([seq, { body }]) => ({ seq, body }));
  }

  /**
   * A client was given a message: none twice, whatever it was told of between. A message that was lost and stored again is
   * another one.
   * @param cutOff by an instance that has no link to the servers
   */
  given(client: Judged, { seq, body }: Segment["bodies"][number], cutOff: boolean): void {
    const key = this.#keyOf(client, { seq, body });
    if (client.had.has(key) && !cutOff)
      this.accuse("repeat", `${client.name} got ${body} at ${seq} once more`);
    client.had.add(key);
  }

  #keyOf(client: Judged, { seq, body }: Segment["bodies"][number]): string {
    const stream = this.#streamOf(this.subjectOf(client));
    const stands = stream?.past.get(seq);
    // Of a stream that was made anew it is another one.
    const storing = stands?.body === body ? `${stream!.bornAt}.${stands.serial}` : "lost";
    return `${storing}/${seq}:${body}`;
  }

  /** A client was told that what it missed cannot be had. */
  told(client: Judged, from: { readonly offset: number }, start: number, instance: string): void {
    this.tolds++;
    this.note(
      `${client.name} is told by ${instance}, at ${this.sequenceOf(from.offset)}; it goes on after ${start}`,
    );
    const { segment } = client;
    const stream = this.#streamOf(this.subjectOf(client));
    // Before it was found that the stream is another one, some of that may have come: it comes again.
    if (segment && stream && stream.bornAt > segment.startedAt)
      for (const one of segment.bodies) client.had.delete(this.#keyOf(client, one));
    // Who has had nothing of a stream that was empty has nothing that could prove it.
    const fresh = segment?.start === 0 && segment.bodies.length === 0;
    if (segment && !fresh && !this.lossSince(segment.startedAt)) {
      this.accuse("needless", `${client.name} was told although the store had lost nothing`);
    }
  }

  /** At the end, when all is whole again: each client has exactly what stands, and knew of every gap. */
  finish(clients: readonly Judged[]): void {
    for (const client of clients) {
      if (!client.subscribed) {
        this.accuse("stuck", `${client.name} does not get in`);
        continue;
      }
      const { start, bodies } = client.segment!;
      const stands = this.pastOf(this.subjectOf(client), start);
      const [is, must] = [bodies, stands].map((list) => list.map(({ seq, body }) => `${seq}:${body}`));
      if (is!.join(" ") === must!.join(" ")) continue;
      const lacks = must!.filter((one) => !is!.includes(one));
      const beyond = is!.filter((one) => !must!.includes(one));
      this.accuse(
        "content",
        `${client.name} after ${start} lacks [${lacks.join(" ")}] and has [${beyond.join(" ")}] that does not stand`,
      );
    }
  }

  #streamOf(subject: string) {
    return [...this.#servers.streams.values()].find((one) => one.takes(subject));
  }
}
