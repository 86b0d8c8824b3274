import type { NamespaceRules, Namespaces } from "../../core/namespace.ts";
import { type Subjects, subjects as subjectsOf } from "../../core/subject.ts";
import { type Role, rolesOf } from "./roles.ts";

/** What nats-server needs to know of an instance's settings. */
export interface AccountOptions {
  readonly root: string;
  readonly namespaces: Namespaces;
  /** Durable consumers of events. Default: `events`. */
  readonly consumers?: readonly string[] | undefined;
}

const LINE_CHARS = 112;

/**
 * The accounts of a Trunkline system as nats-server's configuration has them: one with JetStream, the mappings of
 * namespaces with partitions and a user for each role, and one for operators of the servers. Passwords come from
 * nats-server's environment. `deploy/nats/accounts.conf` is this text for the settings as they come.
 */
export function accountConfig({ root, namespaces, consumers }: AccountOptions): string {
  const subjects = subjectsOf(root);
  return [
    "# Printed by `trunkline config --nats`: who may do what, with the least rights that work. Passwords come from the",
    "# environment of nats-server. An instance logs in as gateway (TRUNKLINE_NATS_USER, TRUNKLINE_NATS_PASSWORD). Every",
    `# role has an inbox of its own, which its client must be told: nats --inbox-prefix=${subjects.inbox("operator")} …`,
    "accounts {",
    "  TRUNKLINE {",
    "    jetstream: enabled",
    ...mappings(subjects, namespaces).map((line) => `    ${line}`),
    "    users: [",
    ...rolesOf(subjects, consumers).flatMap(user),
    "    ]",
    "  }",
    "  # For operators of the servers: `nats --user admin server report jetstream`.",
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

/** The variable of nats-server's environment that holds a role's password. */
export function passwordVariable(role: string): string {
  return `${role.toUpperCase()}_PASSWORD`;
}

function user({ name, purpose, publish, deny, subscribe, responses }: Role): string[] {
  return [
    `      # ${purpose[0]!.toUpperCase()}${purpose.slice(1)}.`,
    `      { user: ${name}, password: $${passwordVariable(name)}, permissions: {`,
    ...(deny.length > 0
      ? ["          publish: {", ...list("  allow", publish), ...list("  deny", deny), "          }"]
      : publish.length > 0
        ? list("publish", publish)
        : []),
    ...list("subscribe", subscribe),
    ...(responses ? ["          allow_responses: true"] : []),
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
