import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { NamespaceRules } from "../../core/namespace.ts";
import { subjects as subjectsOf } from "../../core/subject.ts";
import { utf8Encoder } from "../../core/text.ts";
import { nkeys } from "../../nats/client.ts";
import type { AccountOptions } from "./account.ts";
import { type Role, rolesOf } from "./roles.ts";

type KeyPair = ReturnType<typeof nkeys.createUser>;

/** Time a service has for an answer, ns: what `allow_responses: true` gives it. */
const RESPONSE_NS = 120_000_000_000;
const UNLIMITED = -1;
const JETSTREAM = {
  mem_storage: UNLIMITED,
  disk_storage: UNLIMITED,
  streams: UNLIMITED,
  consumer: UNLIMITED,
};
const LIMITS = {
  ...{ subs: UNLIMITED, data: UNLIMITED, payload: UNLIMITED, imports: UNLIMITED, exports: UNLIMITED },
  ...{ wildcards: true, conn: UNLIMITED, leaf: UNLIMITED },
};

/**
 * Makes the accounts of a system as JWTs signed with nkeys, for servers in operator mode: `resolver.conf` for
 * nats-server, and `<role>.creds` for each role. Keys that are in the folder already are used again, so that rights can be
 * made anew without new credentials for anybody.
 *
 * @returns what was written, for people
 */
export async function writeAccounts(folder: string, options: AccountOptions): Promise<string> {
  const { root, namespaces, consumers } = options;
  const subjects = subjectsOf(root);
  const keys = join(folder, "keys");
  await mkdir(keys, { recursive: true, mode: 0o700 });
  const operator = await keyPair(join(keys, "operator.nk"), nkeys.createOperator);
  const system = await keyPair(join(keys, "system.nk"), nkeys.createAccount);
  const account = await keyPair(join(keys, "account.nk"), nkeys.createAccount);
  const mappings = mappingsOf(subjects, [...namespaces.values()]);
  const accounts = [
    { key: system, jwt: encode(operator, system, "SYS", accountClaims({}, {})) },
    { key: account, jwt: encode(operator, account, "TRUNKLINE", accountClaims(JETSTREAM, mappings)) },
  ];
  const roles = rolesOf(subjects, consumers);
  for (const role of roles) {
    const user = await keyPair(join(keys, `${role.name}.nk`), nkeys.createUser);
    const claims = userClaims(role);
    await secretFile(
      join(folder, `${role.name}.creds`),
      credentials(encode(account, user, role.name, claims), user),
    );
  }
  const admin = await keyPair(join(keys, "admin.nk"), nkeys.createUser);
  const adminJwt = encode(system, admin, "admin", userClaims({ publish: [">"], subscribe: [">"] }));
  await secretFile(join(folder, "admin.creds"), credentials(adminJwt, admin));
  const operatorClaims = { type: "operator", version: 2, system_account: system.getPublicKey() };
  await writeFile(
    join(folder, "resolver.conf"),
    [
      "# Made by `trunkline config --nats --jwt`. In nats-server's configuration: include resolver.conf",
      `operator: ${encode(operator, operator, "trunkline", operatorClaims)}`,
      `system_account: ${system.getPublicKey()}`,
      "resolver: MEMORY",
      "resolver_preload: {",
      ...accounts.map(({ key, jwt }) => `  ${key.getPublicKey()}: ${jwt}`),
      "}",
      "",
    ].join("\n"),
  );
  const names = [...roles.map(({ name }) => name), "admin"].map((name) => `${name}.creds`);
  return [
    `${join(folder, "resolver.conf")}: include it in nats-server's configuration, and reload it`,
    `${names.join(", ")}: a login for each role`,
    `${keys}: the keys themselves. Keep them off the servers: they make further logins.`,
  ].join("\n");
}

function accountClaims(jetstream: object, mappings: object) {
  return {
    ...{ type: "account", version: 2, limits: { ...LIMITS, ...jetstream }, mappings },
    default_permissions: { pub: {}, sub: {} },
  };
}

function mappingsOf(subjects: ReturnType<typeof subjectsOf>, namespaces: readonly NamespaceRules[]) {
  const lines = namespaces
    .filter(({ partitions }) => partitions > 1)
    .flatMap(({ name, partitions }) => subjects.mapping(name, partitions));
  return Object.fromEntries(lines.map(({ from, to }) => [from, [{ subject: to, weight: 100 }]]));
}

function userClaims(role: Pick<Role, "publish" | "subscribe"> & Partial<Role>) {
  const { publish, deny = [], subscribe, responses } = role;
  return {
    ...{ type: "user", version: 2, subs: UNLIMITED, data: UNLIMITED, payload: UNLIMITED },
    pub: {
      // Without a list everything would be allowed.
      ...(publish.length > 0 ? { allow: publish } : !responses && { deny: [">"] }),
      ...(deny.length > 0 && { deny }),
    },
    sub: { allow: subscribe },
    ...(responses && { resp: { max: 1, ttl: RESPONSE_NS } }),
  };
}

/** A JWT as nats-server reads them: signed with Ed25519, named by a hash of its claims. */
function encode(issuer: KeyPair, subject: KeyPair, name: string, nats: object): string {
  const claims = {
    jti: "",
    iat: Math.floor(Date.now() / 1000),
    iss: issuer.getPublicKey(),
    name,
    sub: subject.getPublicKey(),
    nats,
  };
  claims.jti = createHash("sha256").update(JSON.stringify(claims)).digest("base64url");
  const text = [{ typ: "JWT", alg: "ed25519-nkey" }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  return `${text}.${Buffer.from(issuer.sign(utf8Encoder.encode(text))).toString("base64url")}`;
}

function credentials(jwt: string, user: KeyPair): string {
  return [
    "-----BEGIN NATS USER JWT-----",
    jwt,
    "------END NATS USER JWT------",
    "",
    "-----BEGIN USER NKEY SEED-----",
    Buffer.from(user.getSeed()).toString(),
    "------END USER NKEY SEED------",
    "",
  ].join("\n");
}

/** The key in a file, which is made when it is absent. */
async function keyPair(path: string, make: () => KeyPair): Promise<KeyPair> {
  try {
    return nkeys.fromSeed(utf8Encoder.encode((await readFile(path, "utf8")).trim()));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    const made = make();
    await secretFile(path, `${Buffer.from(made.getSeed()).toString()}\n`);
    return made;
  }
}

async function secretFile(path: string, text: string): Promise<void> {
  await writeFile(path, text, { mode: 0o600 });
}
