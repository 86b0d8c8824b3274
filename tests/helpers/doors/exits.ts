import { rawItems, rawMember } from "../../../src/core/json-text.ts";
import { STREAM_TRANSPORTS, type StreamTransport } from "../../../src/protocol/centrifuge/stream-codecs.ts";
import type { TestPusher } from "../../gateway/clients.ts";
import { eventually } from "../../gateway/time.ts";
import { type DoorClient, Refused } from "./client.ts";
import { type DoorWorld, tokenOf } from "./world.ts";

/** What came out, by where. */
export type Exits = Record<string, string | undefined>;

export const CODECS = ["centrifuge-json", "centrifuge-protobuf"] as const;

let next = 0;
export const fresh = (namespace: string) => `${namespace}:d${++next}`;
export const freshUser = () => `user${++next}`;

/** A connected client. @param claims further members of its token, as JSON text that begins with a comma */
export async function connected(world: DoorWorld, codec: string, user = freshUser(), claims = "") {
  const client = world.client(codec);
  const answer = await client.ask("connect", { token: tokenOf(`{"sub":"${user}"${claims}}`) });
  return Object.assign(client, { id: unquoted(answer("client")), answer, user });
}

/** A JSON string without escapes, or (Protobuf) the string itself, as what it says. */
export const unquoted = (text = "") => text.replace(/^"|"$/g, "");

/** The API's answer. @throws Refused when it is an error */
export async function call(world: DoorWorld, path: string, body: string): Promise<string> {
  const answer = await world.api(path, body);
  if (rawMember(answer, "error") !== undefined) throw new Refused(rawMember(answer, "error", "message"));
  return answer;
}

/** Who hears what is published to a channel, and how. */
interface Listener {
  readonly name: string;
  readonly client: DoorClient;
  readonly delta: boolean;
}

/** One on every transport, in every encoding, and with differences. */
export async function listeners(world: DoorWorld, channel: string): Promise<Listener[]> {
  const twoWay = async (name: string, client: DoorClient, delta = false): Promise<Listener> => {
    await client.ask("connect", { token: tokenOf(`{"sub":"${freshUser()}"}`) });
    await client.ask("subscribe", { channel, ...(delta && { delta: "fossil" }) });
    return { name, client, delta };
  };
  const oneWay = async (transport: StreamTransport): Promise<Listener> => {
    const client = world.client("centrifuge-json", transport);
    client.begin({ token: tokenOf(`{"sub":"${freshUser()}"}`), subs: { [channel]: {} } });
    await client.value("connect");
    return { name: transport, client, delta: false };
  };
  return await Promise.all([
    ...CODECS.map((codec) => twoWay(codec, world.client(codec))),
    ...CODECS.map((codec) => twoWay(`differences ${codec}`, world.client(codec), true)),
    ...STREAM_TRANSPORTS.map((transport) =>
      transport.startsWith("uni_")
        ? oneWay(transport)
        : twoWay(transport, world.client("centrifuge-json", transport)),
    ),
  ]);
}

/** How many messages came out as differences: the test has to see some. */
export const seen = { deltas: 0 };

/**
 * Where a message comes out: live, from history and in recovery, in each codec, and in the server API.
 * @param before the message that stands before it
 */
export async function messageExits(
  world: DoorWorld,
  channel: string,
  heard: readonly Listener[],
  before: string,
): Promise<Exits> {
  const exits: Exits = {};
  for (const { name, client, delta } of heard) {
    const found = await client.heard(before, delta);
    exits[`push ${name}`] = found.text;
    if (found.delta) seen.deltas++;
  }
  for (const codec of CODECS) {
    const client = await connected(world, codec);
    const history = await client.ask("history", { channel, limit: 10 });
    exits[`history ${codec}`] = history("publications", 1, "data");
    const from = {
      epoch: unquoted(history("epoch")),
      offset: Number(history("publications", 1, "offset")) - 1,
    };
    const recovered = await client.ask("subscribe", { channel, recover: true, ...from });
    exits[`recovery ${codec}`] = recovered("publications", 0, "data");
    const other = await connected(world, codec);
    const whole = await other.ask("subscribe", { channel, recover: true, delta: "fossil", ...from });
    const data = whole("publications", 0, "data");
    // A subscription with differences gets each JSON text as a string.
    exits[`recovery with differences ${codec}`] =
      data && codec === "centrifuge-json" ? (JSON.parse(data) as string) : data;
  }
  const page = await call(world, "/history", JSON.stringify({ channel, limit: 10 }));
  exits["history API"] = rawMember(rawItems(rawMember(page, "result", "publications")!)[1]!, "data");
  return exits;
}

/** Where what is known of a client comes out. @param member its `conn_info` or `chan_info` */
export async function infoExits(
  world: DoorWorld,
  channel: string,
  member: "conn_info" | "chan_info",
  client: { readonly id: string },
  watchers: readonly (readonly [string, DoorClient])[],
): Promise<Exits> {
  const exits: Exits = {};
  for (const [name, watcher] of watchers) {
    exits[`join ${name}`] = await watcher.pushOf("join", client.id, "info", member);
    const presence = await watcher.ask("presence", { channel });
    exits[`presence ${name}`] = presence("presence", client.id, member);
  }
  const answer = await call(world, "/presence", JSON.stringify({ channel }));
  exits["presence API"] = rawMember(answer, "result", "presence", client.id, member);
  return exits;
}

/** Two clients, one in each codec, that are told who comes. */
export async function watchers(world: DoorWorld, channel: string) {
  const all: [string, DoorClient][] = [];
  for (const codec of CODECS) {
    const client = await connected(world, codec);
    await client.ask("subscribe", { channel, join_leave: true });
    all.push([codec, client]);
  }
  return all;
}

/** The text of an item's member in a list of one. */
export function itemOf(list: string | undefined, member: string): string | undefined {
  return list === undefined ? undefined : rawMember(list.slice(1, -1), member);
}

/** The `data` of an event's frame, which is a string; `undefined` until it came. */
export async function pusherData(client: TestPusher, event: string, channel?: string): Promise<string> {
  return await eventually(
    () => {
      for (const frame of client.socket.frames) {
        const found = JSON.parse(String(frame)) as { event: string; channel?: string; data: string };
        if (found.event === event && (channel === undefined || found.channel === channel)) return found.data;
      }
      return undefined;
    },
    `the event ${event}; there are ${client.socket.frames.join("\n").slice(0, 1_000)}`,
  );
}
