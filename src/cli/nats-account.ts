import type { NamespaceRules, Namespaces } from "../core/namespace.ts";
import { type Subjects, subjects as subjectsOf } from "../core/subject.ts";

/** What nats-server needs to know of an instance's settings. */
export interface AccountOptions {
  readonly root: string;
  readonly namespaces: Namespaces;
}

const LINE_CHARS = 112;

/**
 * The accounts of a Trunkline system as nats-server's configuration has them: one with JetStream, the mappings of
 * namespaces with partitions, a user for the instances and one for services, each with no more rights than it needs;
 * and one for operators. Passwords come from nats-server's environment. `deploy/nats/accounts.conf` is this text for the
 * settings as they come.
 */
export function accountConfig({ root, namespaces }: AccountOptions): string {
  const subjects = subjectsOf(root);
  return [
    "# Printed by `trunkline config --nats`: who may do what, with the least rights that work. Passwords come from the",
    "# environment of nats-server. An instance logs in as gateway (TRUNKLINE_NATS_USER, TRUNKLINE_NATS_PASSWORD).",
    "accounts {",
    "  TRUNKLINE {",
    "    jetstream: enabled",
    ...mappings(subjects, namespaces).map((line) => `    ${line}`),
    "    users: [",
    ...user("gateway", "$GATEWAY_PASSWORD", gatewayRights(root)),
    `      # Services publish messages and answer calls. None may publish on ${root}l.>, where it could forge sequences.`,
    ...user("service", "$SERVICE_PASSWORD", serviceRights(subjects), "allow_responses: true"),
    "    ]",
    "  }",
    "  # For operators: `nats --user admin server report jetstream`.",
    "  SYS { users: [ { user: admin, password: $ADMIN_PASSWORD } ] }",
    "}",
    "system_account: SYS",
  ].join("\n");
}

/** The lines of nats-server's `mappings`, for an account or the whole server; none when no namespace has partitions. */
export function mappings(subjects: Subjects, namespaces: Namespaces): string[] {
  const divided = [...namespaces.values()].filter(isDivided);
  if (divided.length === 0) return [];
  const lines = divided.flatMap(({ name, partitions }) =>
    subjects.mapping(name, partitions).map(({ from, to }) => `  "${from}": "${to}"`),
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
      ...["NAMES", "INFO.*", "CREATE.*", "UPDATE.*", "PURGE.*", "DELETE.*", "MSG.GET.*"].map(
        (what) => `$JS.API.STREAM.${what}`,
      ),
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
  return [
    `      { user: ${name}, password: ${password}, permissions: {`,
    ...list("publish", rights.publish),
    ...list("subscribe", rights.subscribe),
    ...more.map((line) => `          ${line}`),
    "      } }",
  ];
}

/** A list in lines of bearable length. */
function list(name: string, subjects: readonly string[]): string[] {
  const lines = [`          ${name}: [`];
  for (const [index, subject] of subjects.entries()) {
    const next = `"${subject}"${index === subjects.length - 1 ? "]" : ","}`;
    const line = lines[lines.length - 1]!;
    if (line.length + next.length > LINE_CHARS) lines.push(`            ${next}`);
    else lines[lines.length - 1] = line + (line.endsWith("[") ? "" : " ") + next;
  }
  return lines;
}
