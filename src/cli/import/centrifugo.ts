import { type Entry, entriesOf } from "./centrifugo-names.ts";
import { namespaceOf, namespacesOf } from "./centrifugo-namespaces.ts";
import { endpointOf } from "./centrifugo-proxies.ts";
import { RULES } from "./centrifugo-rules.ts";
import { tokensOf } from "./centrifugo-tokens.ts";
import { Draft, isTree, type Line, type Tree } from "./draft.ts";

/** What Centrifugo has where the file says nothing, and we have something else. */
const DEFAULT_PORT = 8000;

/** Our built-in namespaces that Centrifugo has not. */
const BUILT_IN = ["chat", "live"];

/** Settings of Centrifugo 5 or 6 as ours. @param file what its configuration file holds */
export function fromCentrifugo(file: Tree): Draft {
  const reader = new Reader(entriesOf(file));
  const { draft } = reader;
  portOf({ draft, original: (path) => reader.original(path) });
  for (const path of Object.keys(RULES)) {
    const entry = reader.take(path);
    if (entry) RULES[path]!(draft, entry, (other) => reader.original(other));
  }
  redisOf(reader);
  tokensOf(draft, (option) => {
    const entry = reader.take(`client.token.${option}`);
    // Nothing is what an empty text says.
    return entry && entry.value !== "" ? { name: entry.name, value: String(entry.value) } : undefined;
  });
  namespaces(reader, proxies(reader));
  reader.finish();
  return draft;
}

/** Settings of a file, each taken once. */
class Reader {
  readonly draft = new Draft();
  readonly #all: ReadonlyMap<string, Entry>;
  readonly #left: Map<string, Entry>;

  constructor(entries: readonly Entry[]) {
    this.#all = new Map(entries.map((entry) => [entry.path, entry]));
    this.#left = new Map(this.#all);
  }

  take(path: string): Entry | undefined {
    const entry = this.#left.get(path);
    this.#left.delete(path);
    return entry;
  }

  /** What a setting is called in the file. */
  nameOf(path: string): string | undefined {
    return this.#all.get(path)?.name;
  }

  /** A value, taken or not. */
  original(path: string): unknown {
    return this.#all.get(path)?.value;
  }

  /** Takes what stands below a name: options with their values, and what each is called in the file. */
  group(prefix: string): { readonly members: Tree; readonly at: (option: string) => string } {
    const members: Tree = {};
    const names = new Map<string, string>();
    for (const { path, name, value } of [...this.#left.values()]) {
      if (!path.startsWith(`${prefix}.`)) continue;
      this.#left.delete(path);
      const option = path.slice(prefix.length + 1);
      names.set(option, name);
      const [outer, inner] = option.split(/\.(.*)/s) as [string, string?];
      if (inner === undefined) members[option] = value;
      else members[outer] = { ...(members[outer] as Tree | undefined), [inner]: value };
    }
    return { members, at: (option) => names.get(option) ?? `${prefix}.${option}` };
  }

  /** Says what nothing has taken, and puts all lines into the order of the file. */
  finish(): void {
    for (const { name, path } of this.#left.values()) this.draft.missing(name, UNKNOWN[path]);
    const order = [...this.#all.values()].map(({ name }) => name);
    const place = ({ name: said }: Line): number => {
      const exact = order.indexOf(said);
      return exact >= 0 ? exact : order.findIndex((name) => said.startsWith(`${name}[`));
    };
    this.draft.lines.sort((one, other) => place(one) - place(other));
  }
}

/** Why some protections have no place here: who relies on them must know. */
const UNKNOWN: Readonly<Record<string, string>> = {
  "client.token.issuer_regex": "an issuer is named exactly: without it, tokens of any issuer are taken",
  "client.token.audience_regex": "an audience is named exactly: without it, tokens for anybody are taken",
  "client.token.user_id_claim": "the user is the claim sub, always",
  "client.subscription_token.enabled": "one set of keys signs both kinds of tokens",
};

function portOf({ draft, original }: Pick<Reader, "draft" | "original">): void {
  if (original("http_server.port") !== undefined) return;
  draft.set("port", DEFAULT_PORT);
  draft.maps("(port)", "port", `not set, which is ${DEFAULT_PORT} there`);
}

/** Where Redis is, by the parts that Centrifugo has. */
function redisOf(reader: Reader): void {
  const { draft } = reader;
  for (const prefix of ["engine.redis", "presence_manager.redis"]) {
    const { members, at } = reader.group(prefix);
    const { address, user, password, db, tls, ...rest } = members;
    if (address !== undefined) {
      const [first = "", ...others] = Array.isArray(address)
        ? address.map(String)
        : String(address).split(",");
      const secure = isTree(tls) ? tls.enabled === true : tls === true;
      const text = /^rediss?:\/\//.test(first) ? first : `${secure ? "rediss" : "redis"}://${first}`;
      if (!URL.canParse(text)) {
        draft.missing(at("address"), "no address: set redis.url");
        continue;
      }
      const url = new URL(text);
      if (user !== undefined) url.username = String(user);
      if (password !== undefined) url.password = String(password);
      if (db !== undefined && db !== 0) url.pathname = `/${String(db)}`;
      draft.set("redis.url", url.href);
      const note = others.length > 0 ? "the first one only: presence lives in one Redis" : "for presence";
      draft.differs(at("address"), note, "redis.url");
      for (const [option, value] of Object.entries({ user, password, db, tls })) {
        if (value !== undefined) draft.maps(at(option), "redis.url");
      }
    }
    for (const option of Object.keys(rest))
      draft.missing(at(option), "see presence.leaseTtl and redis.prefix");
  }
}

/** Writes endpoints, and who asks them. @returns how namespaces find theirs */
function proxies(reader: Reader): (kind: string, name: string) => string | undefined {
  const { draft } = reader;
  const known = new Map<string, string>();
  const list = reader.take("proxies");
  if (list) {
    for (const [index, name, members] of namespacesOf(list.value)) {
      if (endpointOf(draft, name, { members, at: (option) => `${list.name}[${index}].${option}` }))
        known.set(name, name);
    }
  }
  // Version 5 says of all proxies at once what version 6 says of each.
  const common = sharedOptions(reader);
  for (const [kind, prefix] of DEFAULT_PROXIES) {
    const { members, at } = reader.group(prefix);
    if (Object.keys(members).length === 0) continue;
    const own = known.has(kind) ? `default-${kind}` : kind;
    if (
      endpointOf(draft, own, {
        members: { ...common.members, ...members },
        at: (option) => common.at(option) ?? at(option),
      })
    ) {
      known.set(`default ${kind}`, own);
      // Version 5 has no switch: an address is enough.
      const isOld = !at("endpoint").startsWith("client.");
      const enabled = members.enabled ?? isOld;
      const name = at(members.enabled === undefined ? "endpoint" : "enabled");
      askedBy(draft, kind, { enabled, name, endpoint: own });
    }
  }
  for (const kind of ["connect", "refresh"] as const) {
    const named = reader.take(`${kind}_proxy_name`);
    const endpoint = named && known.get(String(named.value));
    if (named && endpoint) askedBy(draft, kind, { enabled: true, name: named.name, endpoint });
    else if (named && named.value !== "") draft.missing(named.name, "there is no endpoint of the name");
  }
  const mode = reader.take("granular_proxy_mode");
  if (mode) draft.maps(mode.name, "callouts.endpoints");
  const find = (kind: string, name: string) => known.get(name === "default" ? `default ${kind}` : name);
  rpcs(reader, find);
  return find;
}

const DEFAULT_PROXIES = [
  ["connect", "client.proxy.connect"],
  ["refresh", "client.proxy.refresh"],
  ["subscribe", "channel.proxy.subscribe"],
  ["publish", "channel.proxy.publish"],
  ["sub_refresh", "channel.proxy.sub_refresh"],
  ["rpc", "rpc.proxy"],
] as const;

const SHARED: Readonly<Record<string, string>> = {
  proxy_http_headers: "http_headers",
  proxy_static_http_headers: "static_headers",
  proxy_include_connection_meta: "include_connection_meta",
  proxy_binary_encoding: "binary_encoding",
};

function sharedOptions(reader: Reader): { members: Tree; at: (option: string) => string | undefined } {
  const members: Tree = {};
  const names = new Map<string, string>();
  for (const [name, option] of Object.entries(SHARED)) {
    const entry = reader.take(name);
    if (!entry) continue;
    members[option] = entry.value;
    names.set(option, name);
  }
  return { members, at: (option) => names.get(option) };
}

/** Has connections ask an endpoint, unless they are told not to. */
function askedBy(
  draft: Draft,
  kind: string,
  {
    enabled,
    name,
    endpoint,
  }: { readonly enabled: unknown; readonly name: string; readonly endpoint: string },
): void {
  if (kind !== "connect" && kind !== "refresh") return;
  if (enabled !== true) {
    draft.maps(name, undefined, "not switched on");
    return;
  }
  draft.set(`auth.${kind}Callout`, endpoint);
  draft.maps(name, `auth.${kind}Callout`);
}

function rpcs(reader: Reader, find: (kind: string, name: string) => string | undefined): void {
  const { draft } = reader;
  const targets: Tree = {};
  const ask = (namespace: string, options: Tree, at: (option: string) => string): void => {
    const named = options.proxy_name ?? options.rpc_proxy_name;
    const on = options.proxy_enabled ?? (typeof named === "string" && named !== "");
    if (on !== true) return;
    const endpoint = find("rpc", typeof named === "string" && named !== "" ? named : "default");
    if (endpoint === undefined) {
      draft.missing(at("proxy_enabled"), "there is no endpoint to ask");
      return;
    }
    targets[namespace] = endpoint;
    draft.maps(at("proxy_enabled"), `rpc.callouts.${namespace}`);
  };
  const plain = reader.group("rpc.without_namespace");
  const old = reader.take("rpc_proxy_name");
  // In version 5 an address was enough, for methods of all kinds.
  const bare =
    find("rpc", "default") !== undefined &&
    plain.members.proxy_enabled === undefined &&
    reader.nameOf("rpc.proxy.endpoint") === "proxy_rpc_endpoint";
  const members = {
    ...plain.members,
    ...(old && { rpc_proxy_name: old.value }),
    ...(bare && { proxy_enabled: true }),
  };
  ask("default", members, bare ? () => "proxy_rpc_endpoint" : plain.at);
  const list = reader.take("rpc.namespaces");
  for (const [index, name, options] of namespacesOf(list?.value)) {
    ask(name, options, (option) => `${list!.name}[${index}].${option}`);
  }
  if (Object.keys(targets).length > 0) draft.set("rpc.callouts", targets);
}

function namespaces(reader: Reader, find: (kind: string, name: string) => string | undefined): void {
  const { draft } = reader;
  const plain = reader.group("channel.without_namespace");
  namespaceOf(draft, "default", plain.members, { at: plain.at, endpoints: find });
  const list = reader.take("channel.namespaces");
  const all = namespacesOf(list?.value);
  for (const [index, name, options] of all) {
    namespaceOf(draft, name, options, {
      at: (option) => `${list!.name}[${index}].${option}`,
      endpoints: find,
    });
  }
  for (const name of BUILT_IN) {
    if (!all.some(([, own]) => own === name)) draft.set(`namespaces.${name}`, null);
  }
}
