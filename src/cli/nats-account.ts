import type { NamespaceRules, Namespaces } from "../core/namespace.ts";
import { type Subjects, subjects as subjectsOf } from "../core/subject.ts";

/** What nats-server needs to know of an instance's settings. */
export interface AccountOptions {
  readonly root: string;
  readonly namespaces: Namespaces;
}

const INDENT = "  ";

/**
 * The account of a Trunkline system as nats-server's configuration has it: JetStream, the mappings of namespaces with
 * partitions, a user for the instances and one for services, each with no more rights than it needs. Passwords come
 * from nats-server's environment.
 */
export function accountConfig({ root, namespaces }: AccountOptions): string {
  const subjects = subjectsOf(root);
  const lines = [
    "# The account of Trunkline, for nats-server's configuration (include it there, or paste it). Give nats-server the two",
    "# passwords in its environment; instances log in with TRUNKLINE_NATS_USER=gateway and TRUNKLINE_NATS_PASSWORD.",
    "accounts {",
    "  TRUNKLINE {",
    "    jetstream: enabled",
    ...mappings(subjects, namespaces).map((line) => INDENT.repeat(2) + line),
    "    users: [",
    ...user("gateway", "$TRUNKLINE_NATS_PASSWORD", gatewayRights(root)),
    ...user("service", "$TRUNKLINE_NATS_SERVICE_PASSWORD", serviceRights(subjects), "allow_responses: true"),
    "    ]",
    "  }",
    "}",
  ];
  return lines.join("\n");
}

/** The lines of nats-server's `mappings`, for an account or the whole server; none when no namespace has partitions. */
export function mappings(subjects: Subjects, namespaces: Namespaces): string[] {
  const divided = [...namespaces.values()].filter(isDivided);
  if (divided.length === 0) return [];
  const lines = divided.flatMap(({ name, partitions }) =>
    subjects.mapping(name, partitions).map(({ from, to }) => `${INDENT}"${from}": "${to}"`),
  );
  return ["mappings {", ...lines, "}"];
}

function isDivided({ partitions }: NamespaceRules): boolean {
  return partitions > 1;
}

interface Rights {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

function gatewayRights(root: string): Rights {
  return {
    publish: [
      ...["", "l", "evt", "ctl", "hook", "rpc", "auth"].map((kind) => `${root}${kind}.>`),
      ...["_INBOX.>", "$JS.FC.>", "$JS.API.INFO"],
      ...["NAMES", "INFO.*", "CREATE.*", "UPDATE.*", "PURGE.*"].map((what) => `$JS.API.STREAM.${what}`),
      ...["$JS.API.DIRECT.GET.*", "$JS.API.CONSUMER.CREATE.*.*", "$JS.API.CONSUMER.DELETE.*.*"],
    ],
    subscribe: [
      ...["", "l", "ctl", "hook"].map((kind) => `${root}${kind}.>`),
      ...["_INBOX.>", "$JS.EVENT.ADVISORY.STREAM.*.*"],
    ],
  };
}

/** May publish messages and control signals, answer RPCs and callouts, and read the stream of events. */
function serviceRights(subjects: Subjects): Rights {
  const { root } = subjects;
  const events = subjects.eventStream();
  return {
    publish: [
      ...[`${root}.>`, `${root}ctl.*`, "$JS.API.INFO"],
      ...[`$JS.API.CONSUMER.*.${events}.>`, `$JS.API.CONSUMER.*.*.${events}.>`, `$JS.ACK.${events}.>`],
    ],
    subscribe: [`${root}rpc.>`, `${root}auth.>`, "_INBOX.>"],
  };
}

function user(name: string, password: string, rights: Rights, ...more: string[]): string[] {
  const list = (subjects: readonly string[]) => `[${subjects.map((one) => `"${one}"`).join(", ")}]`;
  return [
    "{",
    `  user: ${name}, password: ${password}`,
    "  permissions {",
    `    publish: ${list(rights.publish)}`,
    `    subscribe: ${list(rights.subscribe)}`,
    ...more.map((line) => `    ${line}`),
    "  }",
    "}",
  ].map((line) => INDENT.repeat(3) + line);
}
