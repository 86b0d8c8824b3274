/** Whose connections are compressed. */
export interface CompressionOptions {
  /** Whether WebSockets are compressed at all. */
  readonly sockets: boolean;
  /** Parts of the `User-Agent` of programs whose WebSockets are not; {@link WEBKIT} for all of Apple's. */
  readonly exceptUserAgents: readonly string[];
  /** Which streams are: none, those that come past no proxy that says so, or all. */
  readonly streams: "off" | "direct" | "all";
}

/** Decides about a request's connection; the client's own wish is another matter for WebSockets, and asked here for streams. */
export interface CompressionPolicy {
  socket(headers: Headers): boolean;
  stream(headers: Headers): boolean;
}

/** Stands for the network stack of Apple's systems, whatever browser or app is on top of it. */
const WEBKIT = "webkit";

/** Safari, every browser of iOS, and apps that use the system's own WebSocket. */
const isWebKit = (agent: string) =>
  (agent.includes("AppleWebKit/") && !/Chrome\/|Chromium\//.test(agent)) || agent.includes("CFNetwork/");

/** Makes the decision that the settings ask for. */
export function compressionPolicy(options: CompressionOptions): CompressionPolicy {
  const { sockets, exceptUserAgents, streams } = options;
  const webkit = exceptUserAgents.includes(WEBKIT);
  const others = exceptUserAgents.filter((one) => one !== WEBKIT);
  return {
    socket(headers) {
      if (!sockets) return false;
      const agent = headers.get("user-agent") ?? "";
      return !(webkit && isWebKit(agent)) && !others.some((one) => agent.includes(one));
    },
    stream(headers) {
      if (streams === "off" || (streams === "direct" && headers.has("via"))) return false;
      return acceptsGzip(headers.get("accept-encoding"));
    },
  };
}

/** Whether an `Accept-Encoding` takes gzip (RFC 9110 §12.5.3): by name, or as any other. */
export function acceptsGzip(accepted: string | null): boolean {
  let any = false;
  for (const one of accepted?.toLowerCase().split(",") ?? []) {
    const [name, ...parameters] = one.split(";").map((part) => part.trim());
    const takes = !parameters.some((parameter) => /^q=0(\.0{0,3})?$/.test(parameter));
    if (name === "gzip" || name === "x-gzip") return takes;
    if (name === "*") any = takes;
  }
  return any;
}
