import { formatDuration } from "../../config/units.ts";
import { type Draft, isTree, msOf, type Tree } from "./draft.ts";

/** Which proxies can be asked: kind and Centrifugo's name of it, to the name of an endpoint. */
export type Endpoints = (kind: "subscribe" | "publish" | "sub_refresh", name: string) => string | undefined;

/** Names here that mean something of their own. */
const INBOXES = "user";

const LEAST_AGE_MS = 1_000;
const MOST_AGE_MS = 3_650 * 86_400_000;

/**
 * Writes the rules of a namespace. Every rule is written, so that nothing of a built-in namespace of the same name is left.
 * @param at where its options stand in the file @param nameIn how an option is called there
 */
export function namespaceOf(
  draft: Draft,
  name: string,
  options: Tree,
  { at, endpoints }: { readonly at: (option: string) => string; readonly endpoints: Endpoints },
): void {
  const own = new Options(options, at, draft);
  const to = (key: string) => `namespaces.${name}.${key}`;
  if (name === INBOXES) {
    draft.set(`namespaces.${name}`, inboxesOf(own, to));
    return;
  }
  const rules: Tree = {
    ...historyOf(own, to),
    ...presenceOf(own, to),
    subscribe: subscribeOf(own, to("subscribe")),
    publish: accessOf(own, "publish", to("publish"), "nobody"),
    presenceAccess: accessOf(own, "presence", to("presenceAccess"), "nobody"),
    historyAccess: accessOf(own, "history", to("historyAccess"), "nobody"),
  };
  calloutsOf(own, rules, endpoints, to);
  restOf(own, rules, to);
  draft.set(`namespaces.${name}`, rules);
}

/** Inboxes are read from where their user was, and by nobody else: only how much they keep is a matter of choice. */
function inboxesOf(own: Options, to: (key: string) => string): Tree {
  const { draft } = own;
  draft.differs(
    own.at("name"),
    "user:<id> is the inbox of that user here, and nobody else's: give the namespace another name if it is for anything else",
    "namespaces.user",
  );
  const { history } = historyOf(own, to);
  for (const option of own.left()) draft.differs(own.at(option), "inboxes stay as they are here");
  return history === null ? {} : { history };
}

/** The options of one namespace, each taken once; what is left is said to be missing. */
class Options {
  readonly draft: Draft;
  readonly #left: Map<string, unknown>;
  readonly #at: (option: string) => string;

  constructor(options: Tree, at: (option: string) => string, draft: Draft) {
    this.#left = new Map(Object.entries(options).filter(([name]) => name !== "name"));
    this.#at = at;
    this.draft = draft;
  }

  take(option: string): unknown {
    const value = this.#left.get(option);
    this.#left.delete(option);
    return value;
  }

  has(option: string): boolean {
    return this.#left.has(option);
  }

  at(option: string): string {
    return this.#at(option);
  }

  left(): string[] {
    return [...this.#left.keys()];
  }
}

/** Takes what asks for positions and recoveries: all are one word here. */
function historyOf(own: Options, to: (key: string) => string): Tree {
  const { draft } = own;
  const [hasSize, hasTtl] = [own.has("history_size"), own.has("history_ttl")];
  const size = own.take("history_size");
  const ageMs = msOf(own.take("history_ttl"));
  const keeps = typeof size === "number" && size > 0 && ageMs !== undefined && ageMs > 0;
  const history = keeps
    ? { size, age: formatDuration(Math.min(Math.max(ageMs, LEAST_AGE_MS), MOST_AGE_MS)) }
    : null;
  if (hasSize) draft.maps(own.at("history_size"), to("history"), history ? undefined : "nothing is kept");
  if (hasTtl) draft.maps(own.at("history_ttl"), to("history"));

  const cache = own.take("force_recovery_mode") === "cache";
  const wishes = ["force_recovery", "allow_recovery", "force_positioning", "allow_positioning"];
  const wanted = wishes
    .filter((wish) => own.has(wish))
    .map((wish) => [wish, own.take(wish) === true] as const);
  const on = history !== null && wanted.some(([, asked]) => asked);
  for (const [wish, asked] of wanted) {
    const more =
      asked &&
      wish.endsWith("positioning") &&
      !wanted.some(([other, yes]) => yes && other.endsWith("recovery"));
    if (more) draft.differs(own.at(wish), "clients recover, too", to("recovery"));
    else if (asked && history === null)
      draft.differs(own.at(wish), "it needs history_size and history_ttl", to("recovery"));
    else draft.maps(own.at(wish), to("recovery"));
  }
  if (cache) draft.maps(own.at("force_recovery_mode"), to("recovery"));
  return { history, recovery: on ? (cache ? "cache" : "stream") : "off" };
}

function presenceOf(own: Options, to: (key: string) => string): Tree {
  const { draft } = own;
  const [hasPresence, hasJoins] = [own.has("presence"), own.has("join_leave")];
  const presence = own.take("presence") === true;
  const joins = own.take("join_leave") === true;
  const hasForced = own.has("force_push_join_leave");
  const forced = own.take("force_push_join_leave") === true;
  if (hasPresence) draft.maps(own.at("presence"), to("presence"));
  if (hasJoins && joins && !presence)
    draft.differs(
      own.at("join_leave"),
      "joins and leaves need presence, which is switched on",
      to("joinLeave"),
    );
  else if (hasJoins) draft.maps(own.at("join_leave"), to("joinLeave"));
  if (hasForced && forced && !joins)
    draft.differs(
      own.at("force_push_join_leave"),
      "there are no joins and leaves to be sent",
      to("forceJoinLeave"),
    );
  else if (hasForced) draft.maps(own.at("force_push_join_leave"), to("forceJoinLeave"));
  return {
    presence: presence || joins,
    joinLeave: joins ? "connection" : "off",
    forceJoinLeave: joins && forced,
  };
}

function subscribeOf(own: Options, to: string): string {
  const client = own.take("allow_subscribe_for_client");
  const anonymous = own.take("allow_subscribe_for_anonymous");
  if (client !== undefined) own.draft.maps(own.at("allow_subscribe_for_client"), to);
  if (anonymous === true && client !== true) {
    own.draft.differs(own.at("allow_subscribe_for_anonymous"), "users may subscribe, too", to);
  } else if (anonymous !== undefined) own.draft.maps(own.at("allow_subscribe_for_anonymous"), to);
  if (anonymous === true) return "anyone";
  // Without either, Centrifugo lets in who has a token, and nobody else.
  return client === true ? "authenticated" : "token";
}

/** Who may publish, or see presence or history. */
function accessOf(own: Options, what: string, to: string, none: string): string {
  const { draft } = own;
  const option = (who: string) => `allow_${what}_for_${who}`;
  const said = ["anonymous", "client", "subscriber"].map((who) => {
    const name = option(who);
    const value = own.take(name);
    return { name, who, yes: value === true, said: value !== undefined };
  });
  const [anonymous, client, subscriber] = said.map(({ yes }) => yes);
  for (const { name, who, yes, said: isSaid } of said) {
    if (!isSaid) continue;
    if (yes && who === "anonymous" && !client) draft.differs(own.at(name), "users may, too", to);
    else draft.maps(own.at(name), to);
  }
  if (anonymous) return "anyone";
  if (client) return "authenticated";
  return subscriber ? "subscriber" : none;
}

const CALLOUTS = [
  ["subscribe", "subscribeCallout"],
  ["publish", "publishCallout"],
  ["sub_refresh", "subRefreshCallout"],
] as const;

const UNASKED: Readonly<Record<"subscribe" | "publish" | "sub_refresh", string>> = {
  subscribe: "there is no endpoint to ask: a subscribe takes a token, until you say otherwise",
  publish: "there is no endpoint to ask: clients do not publish, until you say otherwise",
  sub_refresh: "there is no endpoint to ask: clients bring new tokens",
};

function calloutsOf(own: Options, rules: Tree, endpoints: Endpoints, to: (key: string) => string): void {
  for (const [kind, key] of CALLOUTS) {
    // Version 5 wrote `proxy_subscribe`, and in its granular mode a name alone.
    const old = own.take(`proxy_${kind}`);
    const enabled = own.take(`${kind}_proxy_enabled`);
    const name = own.take(`${kind}_proxy_name`);
    const where = own.at(
      enabled !== undefined
        ? `${kind}_proxy_enabled`
        : old !== undefined
          ? `proxy_${kind}`
          : `${kind}_proxy_name`,
    );
    const granular =
      typeof name === "string" && name !== "" && !own.at(`${kind}_proxy_name`).startsWith("channel.");
    const on = enabled ?? old ?? granular;
    if (on !== true) {
      if (enabled !== undefined || old !== undefined) own.draft.maps(where, to(key));
      continue;
    }
    const endpoint = endpoints(kind, typeof name === "string" && name !== "" ? name : "default");
    if (endpoint === undefined) {
      // Whatever else is allowed was allowed to those only whom the backend let through.
      if (kind === "subscribe") rules.subscribe = "token";
      if (kind === "publish") rules.publish = "nobody";
      own.draft.missing(where, UNASKED[kind]);
      continue;
    }
    rules[key] = endpoint;
    if (kind === "publish" && rules.publish !== "anyone") {
      rules.publish = "anyone";
      own.draft.maps(where, to(key), "the endpoint alone decides, so everybody may ask");
    } else own.draft.maps(where, to(key));
  }
}

/** Deltas, formats, and whatever has no place here. */
function restOf(own: Options, rules: Tree, to: (key: string) => string): void {
  const { draft } = own;
  const types = own.take("allowed_delta_types");
  const hasPublish = own.has("delta_publish");
  const always = own.take("delta_publish") === true;
  if (Array.isArray(types) && types.includes("fossil")) {
    rules.delta = true;
    if (always) draft.maps(own.at("allowed_delta_types"), to("delta"));
    else
      draft.differs(
        own.at("allowed_delta_types"),
        "every message may be sent as a difference, not only those published so",
        to("delta"),
      );
  } else if (types !== undefined) draft.maps(own.at("allowed_delta_types"), to("delta"));
  if (hasPublish) draft.maps(own.at("delta_publish"), to("delta"));

  const format = own.take("publication_data_format");
  if (format === "binary") rules.format = "binary";
  if (format === "json_object")
    draft.differs(own.at("publication_data_format"), "any JSON is taken", to("format"));
  else if (format !== undefined) draft.maps(own.at("publication_data_format"), to("format"));

  if (own.has("allow_user_limited_channels")) {
    own.take("allow_user_limited_channels");
    draft.maps(
      own.at("allow_user_limited_channels"),
      undefined,
      "channels with # in their name are for the users behind it, always",
    );
  }
  for (const option of own.left()) draft.missing(own.at(option), MISSING[option]);
}

const MISSING: Readonly<Record<string, string>> = {
  history_meta_ttl: "not needed: positions live as long as the stream",
  channel_regex: "names of channels are not checked: a subscribe callout can refuse them",
  allow_tags_filter: "filters by tags are not served: such a subscribe is refused",
  subscribe_stream_proxy_enabled: "subscription streams are not served",
  auto_cache_recover: "clients ask for recovery by themselves",
  subscription_type: "maps and polls are not served",
};

/** The namespaces of a file: a list with names, or (never of Centrifugo's own) an object. */
export function namespacesOf(value: unknown): [index: number, name: string, options: Tree][] {
  if (!Array.isArray(value)) return [];
  return value.filter(isTree).map((options, index) => [index, String(options.name ?? ""), options]);
}
