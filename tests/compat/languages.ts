/** The kinds of stock SDKs that are run by programs of their own language; each kind has one table of features. */
export const KINDS = ["centrifuge", "centrifugo-api", "pusher-server", "pusher-client"] as const;

/** One of {@link KINDS}. */
export type Kind = (typeof KINDS)[number];

/** How an SDK's program is got ready; see `toolchains.ts`. */
export type Language = "JavaScript" | "Go" | "Python" | "Java" | "Rust" | "PHP" | "Ruby";

/** What an SDK does in its own way, in the words of the page; a scenario leaves out what rests on it. */
type Quirk = "does not tell why a connection ended" | "does not subscribe again once the server ended it";

/** One stock SDK that a program of ours runs in its own language. */
export interface LanguageSdk {
  /** What the pages call it; no other entry of its kind has the name. */
  readonly name: string;
  readonly kind: Kind;
  readonly language: Language;
  /** Its package, as its registry calls it. */
  readonly package: string;
  readonly version: string;
  /** The program: a folder, file or binary under the language's folder. */
  readonly program: string;
  /** Its public repository, which is run where the registry does not give the package out. */
  readonly repository?: string;
  /** What the SDK itself has no call for: names of features, with the words for the page. */
  readonly lacks?: readonly string[];
  /** Where it behaves unlike the others, whatever server it talks to. */
  readonly quirks?: readonly Quirk[];
  /** What it speaks; default: JSON. */
  readonly protocols?: readonly ("json" | "protobuf")[];
}

const NO_TOKEN_GETTER = "subscription tokens, renewed while subscribed";

/** All of them. */
export const LANGUAGE_SDKS: readonly LanguageSdk[] = [
  {
    name: "centrifuge-js",
    kind: "centrifuge",
    language: "JavaScript",
    package: "centrifuge",
    version: "5.8.0",
    program: "centrifuge.ts",
  },
  {
    name: "centrifuge-go",
    kind: "centrifuge",
    language: "Go",
    package: "github.com/centrifugal/centrifuge-go",
    version: "0.12.1",
    program: "centrifuge",
    protocols: ["json", "protobuf"],
  },
  {
    name: "centrifuge-python",
    kind: "centrifuge",
    language: "Python",
    package: "centrifuge-python",
    version: "0.7.0",
    program: "centrifuge_client.py",
    protocols: ["json", "protobuf"],
  },
  {
    name: "centrifuge-java",
    kind: "centrifuge",
    language: "Java",
    package: "io.github.centrifugal:centrifuge-java",
    version: "0.4.1",
    program: "centrifuge",
    protocols: ["protobuf"],
    lacks: ["deltas (fossil)"],
  },
  {
    name: "tokio-centrifuge",
    kind: "centrifuge",
    language: "Rust",
    package: "tokio-centrifuge",
    version: "0.2.6",
    program: "centrifuge",
    protocols: ["json", "protobuf"],
    quirks: ["does not tell why a connection ended", "does not subscribe again once the server ended it"],
    lacks: [
      "tokens: an expired one is replaced, a live one renewed",
      NO_TOKEN_GETTER,
      "presence and its counts",
      "history: forwards, backwards, since, the top alone",
      "join and leave; a clean goodbye leaves at once",
      "server-side subscriptions, recovered",
      "deltas (fossil)",
      "recovery after a cut: each message once, in order",
      "recovery after kill -9 of its instance",
    ],
  },
  {
    name: "cent",
    kind: "centrifugo-api",
    language: "Python",
    package: "cent",
    version: "5.2.0",
    program: "centrifugo_api.py",
  },
  {
    name: "gocent",
    kind: "centrifugo-api",
    language: "Go",
    package: "github.com/centrifugal/gocent/v3",
    version: "3.2.0",
    program: "gocent",
    repository: "centrifugal/gocent",
    lacks: ["publish: tags, one idempotency key once", "refresh", "publish: bytes in base64"],
  },
  {
    name: "pusher (Node)",
    kind: "pusher-server",
    language: "JavaScript",
    package: "pusher",
    version: "5.3.4",
    program: "pusher-server.ts",
  },
  {
    name: "pusher (Python)",
    kind: "pusher-server",
    language: "Python",
    package: "pusher",
    version: "3.3.4",
    program: "pusher_server.py",
    // It has the call, but leaves the app out of the path, which no server can serve.
    lacks: ["users: end all connections"],
  },
  {
    name: "pusher-http-go",
    kind: "pusher-server",
    language: "Go",
    package: "github.com/pusher/pusher-http-go/v5",
    version: "5.1.1",
    program: "pusher",
    repository: "pusher/pusher-http-go",
    lacks: ["users: end all connections"],
  },
  {
    name: "pusher-http-java",
    kind: "pusher-server",
    language: "Java",
    package: "com.pusher:pusher-http-java",
    version: "1.3.4",
    program: "pusher-server",
    lacks: ["users: send an event", "users: sign-in"],
  },
  {
    name: "pusher (Rust)",
    kind: "pusher-server",
    language: "Rust",
    package: "pusher",
    version: "0.4.5",
    program: "pusher",
    lacks: [
      "batches, in order",
      "users: send an event",
      "users: end all connections",
      "users: sign-in",
      "encrypted channels",
    ],
  },
  {
    name: "pusher-php-server",
    kind: "pusher-server",
    language: "PHP",
    package: "pusher/pusher-php-server",
    version: "7.2.6",
    program: "pusher_server.php",
    repository: "pusher/pusher-http-php",
  },
  {
    name: "pusher (Ruby)",
    kind: "pusher-server",
    language: "Ruby",
    package: "pusher",
    version: "2.1.0",
    program: "pusher_server.rb",
    repository: "pusher/pusher-http-ruby",
    lacks: ["users: send an event", "encrypted channels"],
  },
  {
    name: "pusher-js",
    kind: "pusher-client",
    language: "JavaScript",
    package: "pusher-js",
    version: "8.6.0",
    program: "pusher-client.ts",
  },
  {
    name: "pysher",
    kind: "pusher-client",
    language: "Python",
    package: "pysher",
    version: "1.0.8",
    program: "pysher_client.py",
    lacks: ["encrypted channels", "signed-in users and their events", "watchlists"],
  },
  {
    name: "pusher-java-client",
    kind: "pusher-client",
    language: "Java",
    package: "com.pusher:pusher-java-client",
    version: "2.4.4",
    program: "pusher-client",
    lacks: ["watchlists"],
  },
];
