import {
  type ChannelName,
  channelId,
  DEFAULT_NAMESPACE,
  MAX_CHANNEL_LENGTH,
  NAMESPACE_PATTERN,
} from "./channel.ts";
import { CommandError, Errors } from "./errors.ts";
import { HASHED_TOKENS, type Part, partitionOf } from "./partition.ts";
import { utf8Encoder } from "./text.ts";

/**
 * The one place where NATS subjects and stream names are built. The client library checks nothing: a space, CR or LF
 * in a subject would let whoever chose the name write NATS protocol, and a wildcard would let them hear everything.
 *
 * A name's tail is the name itself wherever NATS can carry it (`chat:room.42` → `rt.chat.room.42`). What NATS cannot
 * carry, or what means something there — control characters, space, `*`, `>`, the escape sign `%` itself, and dots
 * with no token on one side — becomes `%XX` for each of its UTF-8 bytes. Names and canonical tails are a bijection.
 */

/** Anything that keeps a name from being its own tail. */
const NEEDS_ESCAPE = /[\p{Cc}\p{Cs} *>%]|^\.|\.$|\.\.|^$/u;

/** What is escaped: those characters, and every dot that does not stand between two non-empty tokens. */
const ESCAPED = /[\p{Cc} *>%]|^\.|\.$|\.(?=\.)|(?<=\.)\./gu;

/** Ids of instances: one subject token, one Redis key part. */
export const INSTANCE_PATTERN = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

/** Names of regions: part of a stream's name. None looks like a partition, `p0of4`. */
export const REGION_PATTERN = /^(?!p\d+of\d+$)[a-z0-9][a-z0-9-]{0,31}$/;

/** Kinds of events and control signals: one subject token. */
const KIND_PATTERN = /^[a-z][a-z0-9_-]{0,31}$/;

/** Keys of entries: one subject token. */
const ENTRY_PATTERN = /^[A-Za-z0-9_-]{1,128}$/;

/** A stored subject of a namespace with partitions: root, namespace, tail. */
const PARTITIONED = /^([a-z0-9]+)\.%\.([^.]+)\.\d+\.\d+\.(.+)$/s;

const ROOT_PATTERN = /^[a-z][a-z0-9]{0,15}$/;

/**
 * The subject tail of a name: at least one token, none of them empty, nothing NATS could take for anything else, and
 * short enough (1.5 KB at worst) for the 4 KB the server allows one protocol line.
 * @throws CommandError badRequest: a name that is empty, longer than {@link MAX_CHANNEL_LENGTH}, or has lone
 *   surrogates (it has no UTF-8 form)
 */
export function encodeTail(name: string): string {
  if (name.length > MAX_CHANNEL_LENGTH) throw new CommandError(Errors.badRequest, "name is too long");
  if (!NEEDS_ESCAPE.test(name)) return name;
  if (name === "" || !name.isWellFormed()) throw new CommandError(Errors.badRequest, "malformed name");
  return name.replace(ESCAPED, percent);
}

/** The name of a tail, or `undefined` when {@link encodeTail} would not have written the tail so. */
export function decodeTail(tail: string): string | undefined {
  try {
    const name = decodeURIComponent(tail);
    return encodeTail(name) === tail ? name : undefined;
  } catch {
    return undefined; // not UTF-8, a stray "%", a lone surrogate, too long, nothing at all: no name has this tail
  }
}

function percent(character: string): string {
  let out = "";
  for (const byte of utf8Encoder.encode(character))
    out += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  return out;
}

/** A channel as far as its subject is concerned. */
type Named = Pick<ChannelName, "namespace" | "name">;

/** An entry of nats-server's `mappings`. */
interface SubjectMapping {
  readonly from: string;
  readonly to: string;
}

/** Builds and reads the subjects of one root. Every method throws CommandError badRequest for what is malformed. */
export interface Subjects {
  readonly root: string;
  /** `rt.<ns>.<name>`: where messages are published; a dot in the namespace is `%2E`. */
  message(channel: Named): string;
  /**
   * Where messages are stored: the same, and with partitions `rt.%.<ns>.<partitions>.<partition>.<name>`, to which a
   * subject mapping of the NATS account leads. It begins with the root as well because nats-server checks the rights
   * of what a mapping has made; no namespace is called `%`.
   */
  stored(channel: Named, partitions: number): string;
  /** `rtl.<ns>.<name>`: where a stored message appears, with its sequence. */
  live(channel: Named): string;
  /** `rt.<ns>.>`, or `rt.%.<ns>.<partitions>.<partition>.>`: what a stream of a namespace captures. */
  messages(namespace: string, part?: Part): string;
  /** `rt.%.<ns>.>`: what the streams of a namespace capture, into however many it is divided. */
  divided(namespace: string): string;
  /** `rtl.<ns>.>`: where it republishes. */
  lives(namespace: string): string;
  /** {@link stored} with `%` before the name: stored when a channel's history is cleared. No name has such a tail. */
  cleared(channel: Named, partitions: number): string;
  /** `rtrpc.<method>`. */
  rpc(method: string): string;
  /** `rtauth.<name>`. */
  auth(name: string): string;
  /** `rtevt.<kind>`. */
  event(kind: string): string;
  /** `rttrace.>`: where NATS servers may tell what they do with a message; see docs/tracing.md. */
  traces(): string;
  /** `rtevt.>`: what the stream of events captures. */
  events(): string;
  /** `rthook.line.<line>`: what is to be carried out to one destination. */
  outbox(line: string): string;
  /** `rthook.line.>`. */
  outboxLines(): string;
  /** `rthook.lease`: who carries it out. */
  outboxLease(): string;
  /** `rthook.>`: what the stream of the outbox captures. */
  outboxes(): string;
  /** The line of a subject; `undefined` when it is none. */
  outboxLineOf(subject: string): string | undefined;
  /** `RT_WEBHOOKS`. */
  outboxStream(): string;
  /** `rtctl.<kind>` for every instance, `rtctl.inst.<instance>.<kind>` for one. */
  control(kind: string, instance?: string): string;
  /** What an instance listens to: `rtctl.*` and `rtctl.inst.<instance>.*`. */
  controls(instance: string): readonly [all: string, own: string];
  /** `rtent.<key>`: where an entry that every instance follows is stored. */
  entry(key: string): string;
  /** `rtent.>`: what the stream of entries captures, and `rtentl.>`: where it republishes. */
  entries(): string;
  liveEntries(): string;
  /** The key of an entry's subject, stored or live; `undefined` when it is none. */
  entryKey(subject: string): string | undefined;
  /** `RT_ENTRIES`. */
  entryStream(): string;
  /** `rtinbox.<role>`: prefix of the inboxes of those who log in with a role. */
  inbox(role: string): string;
  /** `RT_<ns>`, or `RT_<ns>_p<partition>of<partitions>`: a stream of a namespace. */
  stream(namespace: string, part?: Part): string;
  /** `RT_<ns>_<region>`, or `RT_<ns>_p<partition>of<partitions>_<region>`: the copy of a stream in another region. */
  mirror(stream: string, region: string): string;
  /** `RT_EVENTS`. Namespaces are lower case in the names of streams: none has this one. */
  eventStream(): string;
  /**
   * What the NATS account must map (nats-server's `mappings`) where a namespace has partitions: from
   * {@link message} to {@link stored}, one entry for each number of tokens. No subject fits two of them: nats-server
   * tries them in no fixed order.
   */
  mapping(namespace: string, partitions: number): readonly SubjectMapping[];
  /** The channel of a message, stored or live subject; `undefined` when no channel has that subject. */
  channel(subject: string): ChannelName | undefined;
  /** The kind of a control subject, either form; `undefined` when it is none. */
  controlKind(subject: string): string | undefined;
}

/** @throws Error when `root` is not 1 to 16 lower-case letters and digits starting with a letter */
export function subjects(root = "rt"): Subjects {
  if (!ROOT_PATTERN.test(root)) {
    throw new Error(`subject root ${JSON.stringify(root)} is not 1 to 16 lower-case letters and digits`);
  }
  const stored = `${root}.`;
  const live = `${root}l.`;
  const control = `${root}ctl.`;
  const within = (namespace: string, part: Part | undefined) =>
    part
      ? `${stored}%.${namespaceToken(namespace)}.${part.of}.${part.index}.`
      : `${stored}${namespaceToken(namespace)}.`;
  /** @param mark what stands before the name */
  const place = ({ namespace, name }: Named, partitions: number, mark: string) => {
    const tail = encodeTail(name);
    const part = partitions > 1 ? { index: partitionOf(tail, partitions), of: partitions } : undefined;
    return within(namespace, part) + mark + tail;
  };

  return {
    root,
    message: ({ namespace, name }) => `${stored}${namespaceToken(namespace)}.${encodeTail(name)}`,
    live: ({ namespace, name }) => `${live}${namespaceToken(namespace)}.${encodeTail(name)}`,
    stored: (channel, partitions) => place(channel, partitions, ""),
    messages: (namespace, part) => `${within(namespace, part)}>`,
    divided: (namespace) => `${stored}%.${namespaceToken(namespace)}.>`,
    lives: (namespace) => `${live}${namespaceToken(namespace)}.>`,
    cleared: (channel, partitions) => place(channel, partitions, "%."),
    rpc: (method) => `${root}rpc.${encodeTail(method)}`,
    auth: (name) => `${root}auth.${encodeTail(name)}`,
    event: (kind) => `${root}evt.${checkKind(kind)}`,
    traces: () => `${root}trace.>`,
    events: () => `${root}evt.>`,
    ...outboxSubjects(root),
    control: (kind, instance) =>
      instance === undefined
        ? `${control}${checkKind(kind)}`
        : `${control}inst.${checkInstance(instance)}.${checkKind(kind)}`,
    controls: (instance) => [`${control}*`, `${control}inst.${checkInstance(instance)}.*`],
    ...entrySubjects(root),
    inbox: (role) => `${root}inbox.${checkKind(role)}`,
    stream: (namespace, part) =>
      `${root.toUpperCase()}_${streamToken(namespace)}${part ? `_p${part.index}of${part.of}` : ""}`,
    mirror: (stream, region) => `${stream}_${checkRegion(region)}`,
    eventStream: () => `${root.toUpperCase()}_EVENTS`,
    mapping: (namespace, partitions) => partitionMapping(stored, namespace, partitions),
    channel(subject) {
      const divided = PARTITIONED.exec(subject);
      if (divided?.[1] === root) return readChannel(`${stored}${divided[2]}.${divided[3]}`, stored);
      return readChannel(subject, subject.startsWith(live) ? live : stored);
    },
    controlKind(subject) {
      const kind = subject.slice(subject.lastIndexOf(".") + 1);
      return subject.startsWith(control) && KIND_PATTERN.test(kind) ? kind : undefined;
    },
  };
}

type EntrySubjects = Pick<Subjects, "entry" | "entries" | "liveEntries" | "entryKey" | "entryStream">;

function entrySubjects(root: string): EntrySubjects {
  const [stored, live] = [`${root}ent.`, `${root}entl.`];
  return {
    entry: (key) => stored + checkEntry(key),
    entries: () => `${stored}>`,
    liveEntries: () => `${live}>`,
    entryKey(subject) {
      const prefix = [stored, live].find((one) => subject.startsWith(one));
      const key = prefix && subject.slice(prefix.length);
      return key && ENTRY_PATTERN.test(key) ? key : undefined;
    },
    entryStream: () => `${root.toUpperCase()}_ENTRIES`,
  };
}

type OutboxSubjects = Pick<
  Subjects,
  "outbox" | "outboxLines" | "outboxLease" | "outboxes" | "outboxLineOf" | "outboxStream"
>;

function outboxSubjects(root: string): OutboxSubjects {
  return {
    outbox: (line) => `${root}hook.line.${encodeTail(line)}`,
    outboxLines: () => `${root}hook.line.>`,
    outboxLease: () => `${root}hook.lease`,
    outboxes: () => `${root}hook.>`,
    outboxLineOf(subject) {
      const prefix = `${root}hook.line.`;
      return subject.startsWith(prefix) ? decodeTail(subject.slice(prefix.length)) : undefined;
    },
    outboxStream: () => `${root.toUpperCase()}_WEBHOOKS`,
  };
}

/** @param stored what stored subjects begin with, such as `rt.` */
function partitionMapping(stored: string, namespace: string, partitions: number): readonly SubjectMapping[] {
  const own = namespaceToken(namespace);
  const to = `${stored}%.${own}.${partitions}`;
  return Array.from({ length: HASHED_TOKENS + 1 }, (_, index) => {
    const count = Math.min(index + 1, HASHED_TOKENS);
    const rest = index === HASHED_TOKENS ? ".>" : "";
    const tokens = Array.from({ length: count }, (_, token) => token + 1);
    const names = tokens.map((token) => `{{wildcard(${token})}}`).join(".");
    return {
      from: `${stored}${own}${".*".repeat(count)}${rest}`,
      to: `${to}.{{partition(${partitions},${tokens.join(",")})}}.${names}${rest}`,
    };
  });
}

function readChannel(subject: string, prefix: string): ChannelName | undefined {
  if (!subject.startsWith(prefix)) return undefined;
  const dot = subject.indexOf(".", prefix.length);
  if (dot < 0) return undefined;
  const token = subject.slice(prefix.length, dot);
  const namespace = token.includes("%") ? token.replaceAll("%2E", ".") : token;
  const name = decodeTail(subject.slice(dot + 1));
  if (name === undefined || !NAMESPACE_PATTERN.test(namespace)) return undefined;
  // Written without its prefix, such a name would be read as a channel of another namespace.
  if (namespace === DEFAULT_NAMESPACE && name.includes(":")) return undefined;
  const id = channelId(namespace, name);
  return id.length > MAX_CHANNEL_LENGTH ? undefined : { id, namespace, name };
}

const checkNamespace = checker(NAMESPACE_PATTERN, "namespace");

/** A namespace as one token of a subject: only a dot needs its escape. */
function namespaceToken(namespace: string): string {
  checkNamespace(namespace);
  return namespace.includes(".") ? namespace.replaceAll(".", "%2E") : namespace;
}

/**
 * A namespace within the name of a stream, where `_` separates, capital letters are what is not a namespace's, dots may
 * not stand, and some file systems tell no capital from a small letter: all of them as `=XX`.
 */
function streamToken(namespace: string): string {
  return checkNamespace(namespace).replace(
    /[A-Z_.]/g,
    (character) => `=${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
const checkInstance = checker(INSTANCE_PATTERN, "instance id");
const checkRegion = checker(REGION_PATTERN, "region");
const checkEntry = checker(ENTRY_PATTERN, "key of an entry");
const checkKind = checker(KIND_PATTERN, "kind");

function checker(pattern: RegExp, what: string): (value: string) => string {
  return (value) => {
    if (!pattern.test(value)) throw new CommandError(Errors.badRequest, `malformed ${what}`);
    return value;
  };
}
