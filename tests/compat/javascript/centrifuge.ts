import { Centrifuge, type PublicationContext, type Subscription } from "centrifuge";
import { type Ask, say, serve } from "./lines.ts";

/* Runs stock centrifuge-js for the compatibility tests. */

const clients = new Map<string, Centrifuge>();

/** Gives one token after the other, the last one for ever. */
function tokens(ask: Ask, told: object): (() => Promise<string>) | undefined {
  const left = ask.tokens && ([...ask.tokens] as string[]);
  return (
    left &&
    (async () => {
      say({ client: ask.client, event: "token", ...told });
      return left.length > 1 ? left.shift()! : left[0]!;
    })
  );
}

const publication = ({ data, offset, tags, info }: PublicationContext) => ({
  data,
  offset,
  tags: tags ?? {},
  user: info?.user,
});

function create(ask: Ask): void {
  const getToken = tokens(ask, {});
  const client = new Centrifuge(ask.url, {
    token: ask.token ?? "",
    ...(getToken && { getToken }),
    ...(ask.name && { name: ask.name }),
    minReconnectDelay: 100,
    maxReconnectDelay: 1_000,
  });
  const tell = (event: string, told: object) => say({ client: ask.client, event, ...told });
  client.on("connecting", ({ code, reason }) => tell("connecting", { code, reason }));
  client.on("connected", ({ client: id }) => tell("connected", { id }));
  client.on("disconnected", ({ code, reason }) => tell("disconnected", { code, reason }));
  client.on("error", ({ error }) => tell("error", { message: error.message }));
  client.on("subscribed", ({ channel, recovered, wasRecovering }) =>
    tell("serverSubscribed", { channel, recovered, recovering: wasRecovering }),
  );
  client.on("unsubscribed", ({ channel }) => tell("serverUnsubscribed", { channel }));
  client.on("publication", (told) =>
    tell("serverPublication", { channel: told.channel, ...publication(told) }),
  );
  clients.set(ask.client, client);
}

function subscribe(client: Centrifuge, ask: Ask): void {
  const { channel } = ask;
  const there = client.getSubscription(channel);
  if (there) {
    there.subscribe();
    return;
  }
  const getToken = tokens(ask, { channel });
  const sub = client.newSubscription(channel, {
    token: ask.token ?? "",
    ...(getToken && { getToken }),
    recoverable: ask.recoverable ?? false,
    positioned: ask.positioned ?? false,
    joinLeave: ask.joinLeave ?? false,
    ...(ask.delta && { delta: "fossil" }),
    minResubscribeDelay: 100,
    maxResubscribeDelay: 1_000,
  });
  listen(sub, ask.client);
  sub.subscribe();
}

function listen(sub: Subscription, client: string): void {
  const tell = (event: string, told: object) => say({ client, event, channel: sub.channel, ...told });
  sub.on("subscribing", ({ code, reason }) => tell("subscribing", { code, reason }));
  sub.on("subscribed", ({ recovered, wasRecovering, streamPosition }) =>
    tell("subscribed", { recovered, recovering: wasRecovering, ...streamPosition }),
  );
  sub.on("unsubscribed", ({ code, reason }) => tell("unsubscribed", { code, reason }));
  sub.on("error", ({ error }) => tell("subscriptionError", { message: error.message }));
  sub.on("publication", (told) => tell("publication", publication(told)));
  sub.on("join", ({ info }) => tell("join", { user: info.user }));
  sub.on("leave", ({ info }) => tell("leave", { user: info.user }));
}

serve(async (ask) => {
  if (ask.do === "new") return create(ask);
  const client = clients.get(ask.client)!;
  const { channel } = ask;
  switch (ask.do) {
    case "connect":
      return client.connect();
    case "disconnect":
      return client.disconnect();
    case "subscribe":
      return subscribe(client, ask);
    case "unsubscribe":
      return client.getSubscription(channel)?.unsubscribe();
    case "publish":
      return await client.publish(channel, ask.data);
    case "rpc":
      return await client.rpc(ask.method, ask.data);
    case "presence": {
      const found = Object.entries((await client.presence(channel)).clients);
      return { users: Object.fromEntries(found.map(([id, { user }]) => [id, user])) };
    }
    case "stats": {
      const { numClients, numUsers } = await client.presenceStats(channel);
      return { clients: numClients, users: numUsers };
    }
    case "history": {
      const { limit, since, reverse } = ask;
      const found = await client.history(channel, { limit, since, reverse });
      return { ...found, publications: found.publications.map(publication) };
    }
  }
  throw new Error(`unknown command ${ask.do}`);
});
