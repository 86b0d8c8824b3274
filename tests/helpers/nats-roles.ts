import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, connect, credsAuthenticator, type NatsConnection } from "nats";
import { accountConfig, passwordVariable } from "../../src/cli/nats/account.ts";
import { writeAccounts } from "../../src/cli/nats/jwt-accounts.ts";
import { rolesOf } from "../../src/cli/nats/roles.ts";
import { NAMESPACE_DEFAULTS, type Namespaces } from "../../src/core/namespace.ts";
import { subjects } from "../../src/core/subject.ts";
import { natsServer, type TestServer } from "./servers.ts";

/** How those who log in show who they are. */
export type LoginKind = "passwords" | "credentials";

/** A nats-server with the accounts that `trunkline config --nats` makes. */
export interface RolesServer extends AsyncDisposable {
  readonly server: TestServer;
  readonly url: string;
  /** What `doctor --roles` needs beside NATS_URL: its environment, and its flags. */
  readonly env: Readonly<Record<string, string>>;
  readonly flags: readonly string[];
  /** The environment of an instance. */
  readonly gateway: Readonly<Record<string, string>>;
  /** Flags and options that log stock tools in. */
  readonly cli: (role: string) => string[];
  /** Logs in with a role. */
  as(role: string, own?: ConnectionOptions): Promise<NatsConnection>;
}

const DIVIDED: Namespaces = new Map([["crowd", { ...NAMESPACE_DEFAULTS, name: "crowd", partitions: 4 }]]);

/** In operator mode, nats-server 2.9 takes no mapping of a wildcard for all that follows. */
const WHOLE: Namespaces = new Map();

export const passwordOf = (role: string) => `password-of-${role}`;

/** Puts a password into each variable of a printed account. */
export function withPasswords(account: string): string {
  return account.replace(/\$([A-Z_]+)_PASSWORD/g, (_, role: string) => `"${passwordOf(role.toLowerCase())}"`);
}

export async function rolesServer(
  kind: LoginKind,
  namespaces = kind === "passwords" ? DIVIDED : WHOLE,
): Promise<RolesServer> {
  const dir = await mkdtemp(join(tmpdir(), "trunkline-roles-"));
  const account = { root: "rt", namespaces };
  let server: TestServer;
  if (kind === "passwords") server = await natsServer(withPasswords(accountConfig(account)));
  else {
    await writeAccounts(dir, account);
    server = await natsServer(await readFile(join(dir, "resolver.conf"), "utf8"));
  }
  const creds = (role: string) => join(dir, `${role}.creds`);
  const roles = rolesOf(subjects());
  const inboxOf = (role: string) => roles.find(({ name }) => name === role)?.inbox ?? "_INBOX";
  return {
    server,
    url: server.url,
    env:
      kind === "passwords"
        ? Object.fromEntries(roles.map(({ name }) => [passwordVariable(name), passwordOf(name)]))
        : {},
    flags: kind === "passwords" ? ["--roles"] : ["--roles", dir],
    gateway: {
      NATS_URL: server.url,
      ...(kind === "passwords"
        ? { TRUNKLINE_NATS_USER: "gateway", TRUNKLINE_NATS_PASSWORD: passwordOf("gateway") }
        : { TRUNKLINE_NATS_CREDENTIALS_FILE: creds("gateway") }),
    },
    cli: (role) => [
      ...["--server", server.url, "--inbox-prefix", inboxOf(role)],
      ...(kind === "passwords" ? ["--user", role, "--password", passwordOf(role)] : ["--creds", creds(role)]),
    ],
    async as(role, own = {}) {
      const login =
        kind === "passwords"
          ? { user: role, pass: passwordOf(role) }
          : { authenticator: credsAuthenticator(await readFile(creds(role))) };
      return await connect({ servers: server.url, inboxPrefix: inboxOf(role), ...login, ...own });
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
