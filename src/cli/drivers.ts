import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { NatsConnection } from "nats";
import { type Issuer, PUBLIC_KEY_ALGORITHMS, SECRET_ALGORITHMS } from "../auth/jwt/issuer.ts";
import { connectPlainly, eachServer, type NatsAddress } from "../broker/nats/link/link.ts";
import { type Config, loadConfig } from "../config.ts";
import { subjects } from "../core/subject.ts";
import type { RedisLink } from "../presence/redis/link.ts";
import { respLink } from "../presence/redis/link-resp.ts";
import { upstashLink } from "../presence/redis/link-upstash.ts";
import { rolesOf } from "./nats/roles.ts";
import { UserError } from "./output.ts";

/** Where NATS is and how to log in, as the settings have it. @throws UserError when a credentials file is unreadable */
export async function natsAddress({ nats }: Config): Promise<NatsAddress> {
  const credentials = nats.credentials ?? (await readCredentials(nats.credentialsFile));
  return {
    servers: nats.urls,
    inbox: nats.inbox ?? subjects(nats.root).inbox("gateway"),
    ...(nats.user && { user: nats.user }),
    ...(nats.password && { password: nats.password }),
    ...(nats.token && { token: nats.token }),
    ...(credentials && { credentials }),
    ...(nats.nkeySeedFile && { nkeySeed: readText("nats.nkeySeedFile", nats.nkeySeedFile).trim() }),
    ...tlsOf("nats", nats),
  };
}

/** How programs that are services to an instance reach its NATS, with the login that `serve` takes. */
export interface NatsAccess {
  /** First token of the subjects. */
  readonly root: string;
  /** Opens a connection of the caller's own. @throws NatsError */
  connect(): Promise<NatsConnection>;
}

const NATS_VARIABLE =
  /^TRUNKLINE_NATS_(USER|PASSWORD|TOKEN|CREDENTIALS|CREDENTIALS_FILE|INBOX|NKEY_SEED_FILE|TLS_CA_FILE|TLS_CERT_FILE|TLS_KEY_FILE|ROOT)$/;
const LOGIN_VARIABLE = /^TRUNKLINE_NATS_(?!ROOT$|INBOX$|TLS_)/;

/**
 * The NATS of the environment. @param servers addresses with commas between them; a login in one of them counts, and the
 * environment's does not then. @throws UserError
 */
export async function natsOfEnvironment(
  servers: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<NatsAccess> {
  const own = servers.includes("@");
  const names = Object.keys(env).filter(
    (name) => NATS_VARIABLE.test(name) && !(own && LOGIN_VARIABLE.test(name)),
  );
  const given = Object.fromEntries(names.map((name) => [name, env[name]]));
  const result = loadConfig({ env: { ...given, NATS_URL: servers } });
  if (result.problems) throw new UserError(`NATS: ${result.problems.join("; ")}`);
  const { nats } = result.config;
  const address = await natsAddress(result.config);
  // A login of another role has an inbox of its own.
  const user = eachServer(address)[0]?.user;
  const role = rolesOf(subjects(nats.root)).find(({ name }) => name === user);
  const inbox = nats.inbox ?? role?.inbox ?? address.inbox;
  return { root: nats.root, connect: () => connectPlainly({ ...address, inbox }, "trunkline bench") };
}

/** The way to the Redis the settings name, if they name one. Nothing is connected yet. */
export function redisLink({ redis, upstash }: Config): RedisLink | undefined {
  if (upstash.url && upstash.token) return upstashLink({ url: upstash.url, token: upstash.token });
  return redis.url ? respLink({ url: redis.url, ...tlsOf("redis", redis) }) : undefined;
}

/** The short forms of the settings and the issuers of the file, as the authenticator takes them. */
export function tokenIssuers({ auth }: Config): Issuer[] {
  const { tokenSecret, tokenPublicKey, tokenJwksUrl } = auth;
  return [
    ...(tokenSecret ? [{ algorithms: SECRET_ALGORITHMS, secret: tokenSecret }] : []),
    ...(tokenPublicKey ? [{ algorithms: PUBLIC_KEY_ALGORITHMS, publicKey: tokenPublicKey }] : []),
    ...(tokenJwksUrl ? [{ algorithms: PUBLIC_KEY_ALGORITHMS, jwksUrl: tokenJwksUrl }] : []),
    ...auth.issuers,
  ];
}

/** The certificates of a connection, when there are any. @throws UserError when a file is unreadable */
function tlsOf(
  name: string,
  files: {
    readonly tlsCaFile?: string | undefined;
    readonly tlsCertFile?: string | undefined;
    readonly tlsKeyFile?: string | undefined;
  },
): { readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string } } {
  const { tlsCaFile, tlsCertFile, tlsKeyFile } = files;
  if (!tlsCaFile && !tlsCertFile && !tlsKeyFile) return {};
  return {
    tls: {
      ...(tlsCaFile && { ca: readText(`${name}.tlsCaFile`, tlsCaFile) }),
      ...(tlsCertFile && { cert: readText(`${name}.tlsCertFile`, tlsCertFile) }),
      ...(tlsKeyFile && { key: readText(`${name}.tlsKeyFile`, tlsKeyFile) }),
    },
  };
}

/** @throws UserError */
function readText(setting: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unreadable";
    throw new UserError(`cannot read ${path} (${code}); check ${setting}`);
  }
}

async function readCredentials(path: string | undefined): Promise<string | undefined> {
  if (!path) return undefined;
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unreadable";
    throw new UserError(`cannot read the NATS credentials ${path} (${code}); check nats.credentialsFile`);
  }
}
