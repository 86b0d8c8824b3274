import { rawItems, rawMember } from "../../../src/core/json-text.ts";
import { until } from "../until.ts";
import { Refused } from "./client.ts";
import { arriving } from "./documents.ts";
import {
  call,
  connected,
  type Exits,
  fresh,
  freshUser,
  infoExits,
  itemOf,
  listeners,
  messageExits,
  unquoted,
  watchers,
} from "./exits.ts";
import { type DoorWorld, tokenOf } from "./world.ts";

/** Sends a document through one door, and collects what comes out. @throws Refused */
export type Door = (world: DoorWorld, document: string, codec: string) => Promise<Exits>;

/** A door no JSON of others passes. */
export type Closed = string;

const NAMES_ONLY = "names and numbers only";

async function published(
  world: DoorWorld,
  document: string,
  publish: (channel: string) => Promise<unknown>,
): Promise<Exits> {
  const channel = fresh("odd");
  const heard = await listeners(world, channel);
  // What is alike leaves as the difference to this one.
  let before = `[${arriving(document)},"${"before ".repeat(10)}"]`;
  const publishBefore = () => call(world, "/publish", `{"channel":"${channel}","data":${before}}`);
  await publishBefore().catch(async () => {
    before = '"before"';
    await publishBefore();
  });
  await publish(channel);
  return await messageExits(world, channel, heard, before);
}

/** A service that answers one request, and what it was asked. */
async function answering(
  world: DoorWorld,
  kind: "rpc" | "auth",
  name: string,
  answer: string,
  ask: () => Promise<unknown>,
): Promise<{ body: string; headers: Readonly<Record<string, string>> }> {
  let asked: { body: string; headers: Readonly<Record<string, string>> } | undefined;
  const remove = world.service.serve(kind, name, (body, headers) => {
    asked = { body, headers };
    return answer;
  });
  await world.service.survey("info", {}, { expect: 1, timeoutMs: 1_000 }); // the server knows of it
  try {
    await ask();
  } finally {
    remove();
  }
  return asked!;
}

/** Commands of the client protocol. */
export const COMMANDS: Readonly<Record<string, Door | Closed>> = {
  async connect(world, document, codec) {
    const answer = `{"user":"${freshUser()}","data":${document},"info":${document},"meta":${document},"subs":{"odd:own":{"data":${document},"info":${document}}}}`;
    const client = world.client(codec);
    let reply: Awaited<ReturnType<typeof client.ask>> | undefined;
    const asked = await answering(world, "auth", "connect", answer, async () => {
      reply = await client.ask("connect", {}, document);
    });
    const id = unquoted(reply!("client"));
    const presence = await client.ask("presence", { channel: "odd:own" });
    const body = await answering(world, "rpc", "odd", "null", () => client.ask("rpc", { method: "odd" }));
    const from = body.headers["Trunkline-From"]!;
    return {
      "question of the callout": rawMember(asked.body, "data"),
      "data of the answer": reply!("data"),
      "data of a subscription": reply!("subs", "odd:own", "data"),
      "info of the connection": presence("presence", id, "conn_info"),
      "info of the subscription": presence("presence", id, "chan_info"),
      ...headerExits(from, document),
    };
  },
  async subscribe(world, document, codec) {
    const channel = fresh("asked");
    const client = await connected(world, codec, freshUser(), `,"meta":${document}`);
    let reply: Awaited<ReturnType<typeof client.ask>> | undefined;
    const answer = `{"data":${document},"info":${document}}`;
    const asked = await answering(world, "auth", "subscribe", answer, async () => {
      reply = await client.ask("subscribe", { channel }, document);
    });
    const presence = await client.ask("presence", { channel });
    return {
      question: rawMember(asked.body, "data"),
      "meta in the question": rawMember(asked.body, "meta"),
      "data of the answer": reply!("data"),
      info: presence("presence", client.id, "chan_info"),
    };
  },
  async publish(world, document, codec) {
    const client = await connected(world, codec);
    return await published(world, document, (channel) => client.ask("publish", { channel }, document));
  },
  async rpc(world, document, codec) {
    const client = await connected(world, codec, freshUser(), `,"info":${document},"meta":${document}`);
    let reply: Awaited<ReturnType<typeof client.ask>> | undefined;
    const asked = await answering(world, "rpc", "odd", document, async () => {
      reply = await client.ask("rpc", { method: "odd" }, document);
    });
    const own = await connected(world, codec);
    const exits = await published(world, document, (channel) =>
      own.ask("rpc", { method: "trunkline.publish" }, `{"channel":"${channel}","id":"k","data":${document}}`),
    );
    return {
      ...exits,
      question: asked.body,
      answer: reply!("data"),
      ...headerExits(asked.headers["Trunkline-From"]!, document),
    };
  },
  async send(world, document, codec) {
    const client = await connected(world, codec);
    const [name, behind] = [freshUser(), freshUser()];
    client.say("send", {}, `{"n":"${name}","d":${document}}`);
    client.say("send", {}, `{"n":"${behind}"}`);
    const named = (text: string) =>
      world.events("message").find((event) => rawMember(event, "data", "n") === `"${text}"`);
    await until(() => named(behind));
    const event = named(name);
    if (event === undefined) throw new Refused("not recorded");
    const posted = await world.webhooks.event((one) => rawMember(one, "data", "n") === `"${name}"`);
    return { event: rawMember(event, "data", "d"), "event over HTTP": rawMember(posted, "data", "d") };
  },
  unsubscribe: NAMES_ONLY,
  presence: NAMES_ONLY,
  presence_stats: NAMES_ONLY,
  history: NAMES_ONLY,
  refresh: "its token: see the claims",
  sub_refresh: "its token: see the claims",
};

/** In a header raw control characters cannot stand: they are white space, or escaped. */
function headerExits(from: string, document: string): Exits {
  const same = (text: string | undefined) =>
    text
      ?.replace(/\s/g, "")
      .replace(/\\u0085/g, "\u0085")
      .replace(/\\u007f/g, "\u007f") === document.replace(/\s/g, "")
      ? document
      : text;
  return {
    "info in a header": same(rawMember(from, "info")),
    "meta in a header": same(rawMember(from, "meta")),
  };
}

/** Claims of tokens. */
export const CLAIMS: Readonly<Record<string, Door>> = {
  async info(world, document, codec) {
    const channel = fresh("odd");
    const seen = await watchers(world, channel);
    const client = await connected(world, codec, freshUser(), `,"info":${document}`);
    const token = tokenOf(`{"sub":"${client.user}","channel":"${channel}","info":${document}}`);
    await client.ask("subscribe", { channel, token });
    await client.ask("publish", { channel }, "1");
    const page = await call(world, "/history", JSON.stringify({ channel, limit: 1 }));
    const info = itemOf(rawMember(page, "result", "publications"), "info")!;
    return {
      ...(await infoExits(world, channel, "conn_info", client, seen)),
      ...renamed(await infoExits(world, channel, "chan_info", client, seen)),
      "conn_info of a message": rawMember(info, "conn_info"),
      "chan_info of a message": rawMember(info, "chan_info"),
      "conn_info of a push": await seen[0]![1].push("pub", "info", "conn_info"),
      "chan_info of a push": await seen[1]![1].push("pub", "info", "chan_info"),
    };
  },
  async b64info(world, document, codec) {
    const channel = fresh("odd");
    const seen = await watchers(world, channel);
    const encoded = Buffer.from(document).toString("base64");
    const client = await connected(world, codec, freshUser(), `,"b64info":"${encoded}"`);
    await client.ask("subscribe", { channel });
    return await infoExits(world, channel, "conn_info", client, seen);
  },
  async meta(world, document, codec) {
    const client = await connected(world, codec, freshUser(), `,"meta":${document}`);
    const asked = await answering(world, "rpc", "odd", "1", () => client.ask("rpc", { method: "odd" }));
    return { header: headerExits(asked.headers["Trunkline-From"]!, document)["meta in a header"] };
  },
  async subs(world, document, codec) {
    const channel = fresh("odd");
    const seen = await watchers(world, channel);
    const b64 = Buffer.from(document).toString("base64");
    const subs = `,"subs":{"${channel}":{"info":${document},"data":${document}},"odd:b64":{"b64data":"${b64}"}}`;
    const client = await connected(world, codec, freshUser(), subs);
    return {
      ...(await infoExits(world, channel, "chan_info", client, seen)),
      "data of the answer": client.answer("subs", channel, "data"),
      "b64data of the answer": client.answer("subs", "odd:b64", "data"),
    };
  },
};

const renamed = (exits: Exits) =>
  Object.fromEntries(Object.entries(exits).map(([name, text]) => [`${name} (subscription)`, text]));

/** Methods of the server API. */
export const METHODS: Readonly<Record<string, Door | Closed>> = {
  publish: (world, document) =>
    published(world, document, (channel) =>
      call(world, "/publish", `{"channel":"${channel}" , "data" : ${document} }`),
    ),
  broadcast: (world, document) =>
    published(world, document, async (channel) => {
      const body = `{"d\\u0061ta":${document},"channels":["${channel}"]}`;
      const answer = await call(world, "/broadcast", body);
      if (answer.includes('"error"')) throw new Refused(answer);
    }),
  batch: (world, document) =>
    published(world, document, async (channel) => {
      const command = `{"publish":{"data":0,"data":${document},"channel":"${channel}"}}`;
      const answer = await call(world, "/batch", `{"commands":[ {"info":{}} ,${command}]}`);
      if (answer.includes('"error"')) throw new Refused(answer);
    }),
  "with the method in the body": (world, document) =>
    published(world, document, (channel) =>
      call(world, "/", `{"method":"publish","params":{"channel":"${channel}","data":${document}}}`),
    ),
  subscribe: async (world, document) => {
    const channel = fresh("odd");
    const seen = await watchers(world, channel);
    const client = await connected(world, "centrifuge-json");
    await call(
      world,
      "/subscribe",
      `{"user":"${client.user}","channel":"${channel}","data":${document},"info":${document}}`,
    );
    const data = await client.push("subscribe", "data");
    return { ...(await infoExits(world, channel, "chan_info", client, seen)), "data of the push": data };
  },
  unsubscribe: NAMES_ONLY,
  disconnect: NAMES_ONLY,
  refresh: NAMES_ONLY,
  presence: NAMES_ONLY,
  presence_stats: NAMES_ONLY,
  history: NAMES_ONLY,
  history_remove: NAMES_ONLY,
  revoke: NAMES_ONLY,
  block: NAMES_ONLY,
  unblock: NAMES_ONLY,
  restrictions: NAMES_ONLY,
  outbox: NAMES_ONLY,
  outbox_look: "shows events as they were written: tests/unit/outbox-desk.test.ts",
  outbox_replay: NAMES_ONLY,
  channels: NAMES_ONLY,
  connections: NAMES_ONLY,
  move: NAMES_ONLY,
  log_level: NAMES_ONLY,
  top: NAMES_ONLY,
  user: NAMES_ONLY,
  channel: NAMES_ONLY,
  why: NAMES_ONLY,
  info: NAMES_ONLY,
};

/** Control signals. */
export const SIGNALS: Readonly<Record<string, Door | Closed>> = {
  async subscribe(world, document, codec) {
    const [channel, behind] = [fresh("odd"), fresh("odd")];
    const client = await connected(world, codec);
    const body = { user: client.user, channel, data: document, info: document };
    world.service.signal("subscribe", body);
    world.service.signal("subscribe", { user: client.user, channel: behind, data: "2" });
    const first = await client.push("subscribe", "data");
    if (first === "2") throw new Refused("not carried out");
    const presence = await client.ask("presence", { channel });
    return { "data of the push": first, info: presence("presence", client.id, "chan_info") };
  },
  async emulate(world, document) {
    const client = world.emulated();
    await client.ask("connect", { token: tokenOf(`{"sub":"${freshUser()}"}`) });
    return await published(world, document, (channel) => client.ask("publish", { channel }, document));
  },
  disconnect: NAMES_ONLY,
  unsubscribe: NAMES_ONLY,
  refresh: NAMES_ONLY,
  alive: NAMES_ONLY,
  clear: NAMES_ONLY,
  channels: NAMES_ONLY,
  info: NAMES_ONLY,
  inspect: NAMES_ONLY,
  tap: NAMES_ONLY,
  untap: NAMES_ONLY,
  tapped: "shows messages to operators: tests/gateway/trace.test.ts",
  measure: NAMES_ONLY,
  measured: NAMES_ONLY,
  log_level: NAMES_ONLY,
  figures: NAMES_ONLY,
  move: NAMES_ONLY,
};

/** Callouts: what a service is asked and answers. */
export const CALLOUTS: Readonly<Record<string, Door | Closed>> = {
  connect: "see the command",
  subscribe: "see the command",
  rpc: "see the command",
  refresh: "see tests/gateway/renew.test.ts, where time can pass",
  subRefresh: "see tests/gateway/renew.test.ts, where time can pass",
  async publish(world, document, codec) {
    const channel = fresh("asked");
    const client = await connected(world, codec, freshUser(), `,"meta":${document}`);
    const answer = `{"data":${document}}`;
    const asked = await answering(world, "auth", "publish", answer, () =>
      client.ask("publish", { channel }, document),
    );
    const page = await call(world, "/history", JSON.stringify({ channel, limit: 1 }));
    return {
      question: rawMember(asked.body, "data"),
      meta: rawMember(asked.body, "meta"),
      "what stands instead": itemOf(rawMember(page, "result", "publications"), "data"),
    };
  },
};

/** What services publish. */
export const SUBJECTS: Readonly<Record<string, Door>> = {
  "rt.<namespace>.<name>": (world, document) =>
    published(world, document, async (channel) => {
      await world.raw(`rt.${channel.replace(":", ".")}`, document);
      await world.raw(`rt.${channel.replace(":", ".")}`, "2");
      await until(async () => {
        const page = await call(world, "/history", JSON.stringify({ channel, limit: 3 }));
        const stored = rawItems(rawMember(page, "result", "publications") ?? "[]");
        if (stored[1] && rawMember(stored[1], "data") === "2") throw new Refused("left out");
        return stored.length === 3;
      });
    }),
};

/** What is recorded for the business cluster. */
export const RECORDED: Readonly<Record<string, Closed>> = {
  message: 'an exit of the command "send"',
  connect: NAMES_ONLY,
  disconnect: NAMES_ONLY,
  join: NAMES_ONLY,
  leave: NAMES_ONLY,
  occupied: NAMES_ONLY,
  vacated: NAMES_ONLY,
  audit: NAMES_ONLY,
};
