import type { Feature } from "./types.ts";

/** What the tests of centrifuge-js show. */
export const centrifugeFeatures: readonly Feature[] = [
  {
    name: "connect, identity, ping and pong",
    titles: [
      "connect: identity, ping interval, and no entry without credentials",
      "what a client calls itself, however long, keeps it from nothing",
      "a token without a user is one for nobody in particular",
      "a client that answers pings lives on",
      "send reaches nobody in the room, and breaks nothing",
    ],
  },
  {
    name: "publish and subscribe",
    titles: [
      "publish and subscribe across instances, with who it was",
      "an idempotent publish from a client is stored once",
      "ephemeral channels deliver, without positions",
      "names of any kind work, and stay apart",
      "namespaces may be called as other servers' are",
    ],
  },
  {
    name: "recovery: each missed message once, in order, or said to be lost",
    titles: [
      "a broken link is recovered with every message once and in order",
      "a client that goes on with another instance misses nothing",
      "what is not kept any more is said, not hidden",
    ],
  },
  {
    name: "recovery of the latest message (cache)",
    titles: ["cache recovery brings the latest message"],
  },
  {
    name: "history",
    titles: [
      "history: forwards, backwards, from a position, and the top only",
      "a channel whose history was removed goes on",
    ],
  },
  {
    name: "presence, join and leave",
    titles: [
      "presence, its counts, join and leave, on both instances",
      "who says goodbye has left at once, whose link breaks is waited for",
    ],
  },
  {
    name: "inbox of a user, channels for everyone, server-side subscriptions",
    titles: [
      "the inbox keeps what arrives while its user is away",
      "an inbox belongs to its user alone",
      "private channels want a token, and channels that name users are for these",
      "server-side subscriptions from the token",
      "one publish reaches all users, on every instance",
    ],
  },
  {
    name: "subscription tokens, capabilities, refresh, expiry",
    titles: [
      "subscription tokens and capabilities open what the namespace closes",
      "refresh: connection and subscription tokens are renewed on the live connection",
      "a token that ran out is asked for again; one never renewed ends the connection",
    ],
  },
  {
    name: "server API: publish, broadcast, subscribe, unsubscribe, disconnect",
    titles: [
      "the server API publishes with tags, and once for one idempotency key",
      "kick: every connection of a user, wherever it is",
      "force subscribe and unsubscribe",
      "broadcast to many channels; channels and info over all instances",
    ],
  },
  {
    name: "errors",
    titles: ["errors: unknown namespace, bad names, twice subscribed, no right, nobody to answer"],
  },
  {
    name: "JSON and Protobuf in one channel; bytes",
    titles: [
      "JSON and Protobuf clients share a channel, its history and its recovery",
      "bytes arrive as bytes in Protobuf and as base64 in JSON, live and recovered",
      "a JSON namespace takes no bytes from Protobuf clients but those of JSON",
    ],
  },
  {
    name: "deltas (fossil)",
    titles: [
      "differences reach those who asked for them, after a whole message, beside clients that did not",
    ],
  },
  {
    name: "HTTP transports without sticky sessions",
    titles: [
      "what a client says to one instance is done by another",
      "commands of one request keep their order",
      "an instance that is gone is said to be, and its client goes on elsewhere",
    ],
  },
  {
    name: "fallback where WebSocket is blocked",
    titles: ["centrifuge-js falls back to HTTP streaming or SSE, and recovers when that breaks"],
  },
  {
    name: "10,000 messages at full speed through a killed instance",
    titles: [
      "ten thousand messages at full speed through a killed instance: each client gets each once, in order",
    ],
  },
  {
    name: "drain: moves on when told, nothing lost",
    titles: [
      "three hundred clients move to another instance in waves: nothing lost, nobody seen to leave who came back",
    ],
  },
  {
    name: "regions: the nearest copy, the next region, cuts between them",
    titles: [
      "a far region answers history and recovery from its copy, and asks the home for what that has not got yet",
      "after a cut between two regions everything arrives in order, also where silence follows",
      "while the home is dead a far region serves what its copy has, even from an instance started then; nothing is lost",
      "nearest.js orders regions by round trip in a browser, and a stock client moves on when its region dies",
    ],
  },
  {
    name: "behind the shipped proxy configuration",
    titles: [
      "passes WebSockets, keeps a silent one past its own time-out, and shows neither metrics nor tokens",
      "sends nobody to an instance that drains",
    ],
  },
  {
    name: "the demo page: chat, broken link, inbox, reload",
    titles: [
      "two people see each other, and what they and a service say, with the position",
      "a broken link: what was missed arrives once, in order, and what was typed meanwhile is sent once",
      "the inbox gets what is sent to the user: before they came, at once, and after a broken link",
      "a reload comes back into the room; another room in the address leads there",
    ],
  },
];

/** What the tests of pusher-js show. */
export const pusherFeatures: readonly Feature[] = [
  {
    name: "connect; stay away when refused",
    titles: ["a stock client that is refused does not come back"],
  },
  {
    name: "public channels, and leaving out the sender",
    titles: [
      "bring events of the server SDK as they were sent, on every instance",
      "leave out the connection a publish excepts",
      "leave out the only subscriber, too",
      "that are left bring nothing more, and can be joined again",
      "stock pusher-js in Node",
    ],
  },
  {
    name: "private channels: signatures, changing keys",
    titles: ["%s… want a signature of the app, with any of its keys"],
  },
  { name: "encrypted channels", titles: ["encrypted channels carry what the gateway cannot read"] },
  {
    name: "presence channels",
    titles: [
      "know everybody once, whatever instance they are on",
      "take no more members than the app allows",
      "want to know who comes: %s",
      "list clients of the other protocol, too",
    ],
  },
  {
    name: "cache channels",
    titles: [
      "%s… give the last event to who comes later",
      "have nothing to give in a namespace without history",
    ],
  },
  {
    name: "client events",
    titles: [
      "reach everybody but who sent them, and leave no trace",
      "say who sent them in presence channels",
      "are refused: %s",
      "are refused where the app has them switched off",
      "beyond ten a second are refused, and the connection lives on",
    ],
  },
  { name: "subscription counts", titles: ["tell how many are subscribed"] },
  {
    name: "signed-in users, watchlists",
    titles: [
      "are reached by name, on all their connections",
      "get what is sent the moment they are told that they are signed in",
      "need no channel_data in presence channels",
      "are refused with a signature of somebody else's",
      "are ended everywhere by terminate_connections, and stay away",
      "see who of their watchlist comes and goes",
      "may follow a hundred, and are told when they want more",
    ],
  },
  { name: "the same channels as Centrifuge clients", titles: ["are shared by clients of both protocols"] },
  {
    name: "webhooks tell of it",
    titles: ["client events, misses of caches and counts are told of stock Pusher clients"],
  },
  {
    name: "members of a killed instance leave",
    titles: ["members of a killed instance leave, and those whose notices were lost are found"],
  },
  {
    name: "drain: told to wait, then moves on",
    titles: ["a drain closes stock clients in waves with a code that makes them wait"],
  },
  {
    name: "with the add-on: resumes, nothing missed, nothing twice",
    titles: [
      "with the add-on a stock client misses nothing and gets nothing twice: kill -9, restart, drain",
      "what a connection was left out of does not come when it resumes, and a lost past is told",
      "stock pusher-js in Chromium, with the add-on",
    ],
  },
];

/** What the tests of the server SDK of Pusher show. */
export const serverFeatures: readonly Feature[] = [
  {
    name: "trigger, to several channels, leaving out a connection",
    titles: [
      "publishes to several channels on all instances, and is told what it asked for",
      "bring events of the server SDK as they were sent, on every instance",
      "leave out the connection a publish excepts",
    ],
  },
  { name: "batches, in order", titles: ["publishes batches in order"] },
  {
    name: "channels, their state and users, cache channels",
    titles: [
      "lists channels, looks at one, lists its users",
      "sees what a cache channel keeps, exactly as it was published",
    ],
  },
  {
    name: "users: send, terminate",
    titles: ["sends to users and ends their connections, whatever their ids"],
  },
  {
    name: "keys, and signing for private, presence and encrypted channels",
    titles: [
      "may use any key of its app, and gets in with no other",
      "%s… want a signature of the app, with any of its keys",
      "encrypted channels carry what the gateway cannot read",
    ],
  },
  {
    name: "webhooks it accepts",
    titles: ["who comes and goes is told once, in order, signed, to those who ask"],
  },
];
