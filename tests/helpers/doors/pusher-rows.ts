import { rawItems, rawMember } from "../../../src/core/json-text.ts";
import type { TestPusher } from "../../gateway/clients.ts";
import { eventually } from "../../gateway/time.ts";
import { Refused } from "./client.ts";
import { CODECS, connected, type Exits, pusherData } from "./exits.ts";
import type { Closed, Door } from "./rows.ts";
import type { DoorWorld } from "./world.ts";

const NAMES_ONLY = "names and numbers only";
const CAPS = `,"caps":[{"channels":["*"],"match":"wildcard","allow":["sub","prs","hst"]}]`;
let next = 0;
const freshName = (prefix: string) => `${prefix}n${++next}`;

/** A Pusher client in a channel that needs a signature. @throws Refused */
async function subscribed(world: DoorWorld, channel: string, channelData?: string): Promise<TestPusher> {
  const client = await world.pusher();
  client.say("pusher:subscribe", { channel, ...client.auth(channel, channelData) });
  const answer = await client.first(({ event }) =>
    event === "pusher_internal:subscription_succeeded" || event === "pusher:subscription_error"
      ? event
      : undefined,
  );
  if (answer === "pusher:subscription_error") throw new Refused("not subscribed");
  return client;
}

/** Publishes an event by the HTTP API, and hears it everywhere. */
async function event(world: DoorWorld, channel: string, publish: () => Promise<string>): Promise<Exits> {
  const client = await subscribed(world, channel);
  const heard = [];
  for (const codec of CODECS) {
    const other = await connected(world, codec, undefined, CAPS);
    await other.ask("subscribe", { channel: `shop:${channel}` });
    heard.push([codec, other] as const);
  }
  const answer = await publish();
  if (answer.startsWith('{"error"')) throw new Refused(answer);
  const exits: Exits = { "Pusher client": await pusherData(client, "odd") };
  for (const [codec, other] of heard)
    exits[codec] = saidBy(await other.push("pub", "data"), exits["Pusher client"]);
  const cached = await subscribed(world, channel);
  exits["a cache channel's last event"] = await pusherData(cached, "odd");
  const facts = await world.pusherApi(`/channels/${channel}`, undefined, "&info=cache");
  exits["the cache in the HTTP API"] = JSON.parse(rawMember(facts, "cache", "data")!) as string;
  return exits;
}

/** A message whose body is a JSON string stands for what that says. */
function saidBy(body: string | undefined, text: string | undefined): string | undefined {
  return body !== undefined && body !== text && body.startsWith('"') ? (JSON.parse(body) as string) : body;
}

/** Calls of the HTTP API of the Pusher protocol. */
export const CALLS: Readonly<Record<string, Door | Closed>> = {
  "POST /:id/events": (world, document) => {
    const channel = freshName("private-cache-");
    const body = JSON.stringify({ name: "odd", channel, data: document });
    return event(world, channel, () => world.pusherApi("/events", body));
  },
  "POST /:id/batch_events": (world, document) => {
    const channel = freshName("private-cache-");
    const body = JSON.stringify({ batch: [{ name: "odd", channel, data: document }] });
    return event(world, channel, () => world.pusherApi("/batch_events", body));
  },
  "GET /:id/channels": NAMES_ONLY,
  "GET /:id/channels/:channel": NAMES_ONLY,
  "GET /:id/channels/:channel/users": NAMES_ONLY,
  "POST /:id/users/:user/terminate_connections": NAMES_ONLY,
};

/** What clients of the Pusher protocol say. */
export const EVENTS: Readonly<Record<string, Door | Closed>> = {
  "pusher:ping": NAMES_ONLY,
  "pusher:pong": NAMES_ONLY,
  "pusher:unsubscribe": NAMES_ONLY,
  "trunkline:resume": NAMES_ONLY,
  "trunkline:position": NAMES_ONLY,
  async "pusher:subscribe"(world, document) {
    const channel = freshName("presence-");
    const first = await subscribed(world, channel, '{"user_id":"one"}');
    const second = await subscribed(world, channel, `{"user_id":"two","user_info":${document}}`);
    const succeeded = await pusherData(second, "pusher_internal:subscription_succeeded");
    return {
      "the list of members": rawMember(succeeded, "presence", "hash", "two"),
      "a member added": rawMember(await pusherData(first, "pusher_internal:member_added"), "user_info"),
    };
  },
  async "pusher:signin"(world, document) {
    const channel = freshName("presence-");
    const client = await world.pusher();
    const userData = `{"id":"${freshName("u")}","user_info":${document}}`;
    client.say("pusher:signin", client.signinAuth(userData));
    const answer = await client.first(({ event }) =>
      event === "pusher:signin_success" || event === "pusher:error" ? event : undefined,
    );
    if (answer === "pusher:error") throw new Refused("not signed in");
    client.say("pusher:subscribe", { channel, ...client.auth(channel) });
    const succeeded = await pusherData(client, "pusher_internal:subscription_succeeded");
    const [member] = rawItems(rawMember(succeeded, "presence", "ids")!);
    return { "the list of members": rawMember(succeeded, "presence", "hash", JSON.parse(member!) as string) };
  },
  "client-": async (world, document) => ({
    ...(await clientEvent(world, document)),
    // As a value instead of a text with it.
    ...Object.fromEntries(
      Object.entries(await clientEvent(world, document, true)).map(([name, text]) => [
        `${name} (value)`,
        text,
      ]),
    ),
  }),
};

async function clientEvent(world: DoorWorld, document: string, asValue = false): Promise<Exits> {
  const channel = freshName("private-");
  const [from, to] = [await subscribed(world, channel), await subscribed(world, channel)];
  const other = await connected(world, "centrifuge-json", undefined, CAPS);
  await other.ask("subscribe", { channel: `shop:${channel}` });
  const data = asValue ? document : JSON.stringify(document);
  from.socket.data.message(from.socket, `{"event":"client-odd","channel":"${channel}","data":${data}}`);
  const refused = () => from.events("pusher:error").length > 0 || from.socket.closed !== undefined;
  const heard = () => to.socket.frames.some((frame) => String(frame).includes('"client-odd"'));
  await eventually(() => refused() || heard(), "the event, or why not");
  if (refused()) throw new Refused("not passed on");
  const said = await pusherData(to, "client-odd");
  const event = await world.webhooks.event(
    (one) => rawMember(one, "channel") === `"${channel}"` && rawMember(one, "name") === '"client_event"',
  );
  const told = JSON.parse(rawMember(event, "data")!) as string;
  return {
    "Pusher client": asString(said, document, asValue),
    "centrifuge-json": asString(saidBy(await other.push("pub", "data"), said), document, asValue),
    webhook: asString(told, document, asValue),
  };
}

/** A value that is a string stands for its content, on its way in as on its way out. */
function asString(text: string | undefined, document: string, asValue: boolean): string | undefined {
  const isString = asValue && document.startsWith('"');
  return isString && text === JSON.parse(document) ? document : text;
}

/** What apps' servers are told. */
export const WEBHOOKS: Readonly<Record<string, Closed>> = {
  client_event: 'an exit of the event "client-"',
  channel_occupied: NAMES_ONLY,
  channel_vacated: NAMES_ONLY,
  member_added: NAMES_ONLY,
  member_removed: NAMES_ONLY,
  cache_miss: NAMES_ONLY,
  subscription_count: NAMES_ONLY,
};
