import { isPrivate } from "../../config/issuers.ts";
import { type Draft, durationWithin, isTree, type Tree } from "./draft.ts";

const MOST_MS = 30_000;

/** How a proxy is written in either version. */
export interface ProxySource {
  /** What an option is called in the file. */
  readonly at: (option: string) => string;
  readonly members: Tree;
}

/**
 * Writes an endpoint for a proxy of Centrifugo's.
 * @param name of the endpoint @returns whether there is one now
 */
export function endpointOf(draft: Draft, name: string, { at, members }: ProxySource): boolean {
  const { endpoint: url, timeout, http: grouped, ...rest } = members;
  if (typeof url !== "string" || !/^https?:\/\//.test(url)) {
    const grpc = typeof url === "string" && url.startsWith("grpc");
    draft.missing(
      at("endpoint"),
      grpc ? "proxies over GRPC are not served: take HTTP" : "no http:// or https:// URL",
    );
    const options = [
      ...Object.keys(rest),
      ...Object.keys(isTree(grouped) ? grouped : {}).map((one) => `http.${one}`),
    ];
    for (const option of timeout === undefined ? options : ["timeout", ...options]) {
      if (option !== "name") draft.missing(at(option), "it goes with its endpoint");
    }
    return false;
  }
  const endpoint: Tree = { url };
  const to = `callouts.endpoints.${name}`;
  if (isPrivate(`${url}/`)) draft.maps(at("endpoint"), `${to}.url`);
  else {
    endpoint.unencrypted = true;
    draft.differs(
      at("endpoint"),
      "http:// to another machine is marked as unencrypted: take https:// where others could listen",
      `${to}.url`,
    );
  }
  if (timeout !== undefined) {
    const within = durationWithin(timeout, [1, MOST_MS]);
    if (within) endpoint.timeout = within.text;
    if (within && !within.moved) draft.maps(at("timeout"), `${to}.timeout`);
    else
      draft.differs(
        at("timeout"),
        within ? "30s is the longest here" : "no duration: 1s it is",
        `${to}.timeout`,
      );
  }
  const http = isTree(grouped) ? grouped : {};
  for (const [option, value] of Object.entries(rest))
    optionOf(draft, { at: at(option), to, option, value, endpoint });
  for (const [option, value] of Object.entries(http)) {
    optionOf(draft, { at: at(`http.${option}`), to, option, value, endpoint });
  }
  draft.set(to, endpoint);
  return true;
}

interface Option {
  readonly at: string;
  readonly to: string;
  readonly option: string;
  readonly value: unknown;
  readonly endpoint: Tree;
}

const SAME: Readonly<Record<string, string>> = {
  emulated_headers: "emulatedHeaders",
  include_connection_meta: "meta",
  binary_encoding: "base64",
};

function optionOf(draft: Draft, { at, to, option, value, endpoint }: Option): void {
  const same = SAME[option];
  if (option === "enabled" || option === "name") return; // said where it is asked for
  if (same !== undefined) {
    endpoint[same] = value;
    draft.maps(at, `${to}.${same}`);
  } else if (option === "http_headers") {
    endpoint.headers = value;
    draft.differs(
      at,
      "of the client's own request alone, as since Centrifugo 6.9: those that clients write into their connect command go to emulatedHeaders",
      `${to}.headers`,
    );
  } else if (option === "static_headers" || option === "static_http_headers") {
    endpoint.addHeaders = headersOf(value);
    draft.maps(at, `${to}.addHeaders`, "a client's header never takes their place here");
  } else if (option === "status_to_code_transforms" && Array.isArray(value)) {
    endpoint.statuses = value.map((one: Tree) => ({
      status: one.status_code,
      ...(isTree(one.to_error) && { error: one.to_error }),
      ...(isTree(one.to_disconnect) && { disconnect: one.to_disconnect }),
    }));
    draft.maps(at, `${to}.statuses`);
  } else if (option.startsWith("grpc")) draft.missing(at, "proxies over GRPC are not served");
  else if (option === "tls") draft.missing(at, "certificates of backends are checked as the system says");
  else draft.missing(at);
}

/** An object, or a list of keys and values. */
function headersOf(value: unknown): Tree {
  if (!Array.isArray(value)) return isTree(value) ? value : {};
  return Object.fromEntries(value.filter(isTree).map(({ key, value: text }) => [String(key), text]));
}
