import Pusher from "pusher-js";
import nacl from "tweetnacl";
import { type Ask, say, serve } from "./lines.ts";

/* Runs stock pusher-js for the compatibility tests. */

const clients = new Map<string, Pusher>();

async function post(url: string, form: Record<string, string>): Promise<unknown> {
  const response = await fetch(url, { method: "POST", body: new URLSearchParams(form) });
  if (!response.ok) throw new Error(`${response.status}`);
  return await response.json();
}

function create(ask: Ask): void {
  const client = new Pusher(ask.key, {
    wsHost: ask.host,
    wsPort: ask.port,
    forceTLS: false,
    enabledTransports: ["ws"],
    cluster: "",
    nacl,
    channelAuthorization: {
      transport: "ajax",
      endpoint: "",
      customHandler: ({ socketId, channelName }, done) => {
        post(ask.authUrl, { socket_id: socketId, channel_name: channelName }).then(
          (signed) => done(null, signed as never),
          (error) => done(error as Error, null),
        );
      },
    },
    userAuthentication: {
      transport: "ajax",
      endpoint: "",
      customHandler: ({ socketId }, done) => {
        post(ask.userUrl, { socket_id: socketId }).then(
          (signed) => done(null, signed as never),
          (error) => done(error as Error, null),
        );
      },
    },
  });
  const tell = (event: string, told: object = {}) => say({ client: ask.client, event, ...told });
  client.connection.bind("connected", () => tell("connected", { id: client.connection.socket_id }));
  client.connection.bind("disconnected", () => tell("disconnected"));
  client.connection.bind("connecting", () => tell("connecting"));
  client.connection.bind("error", ({ error }: { error?: { data?: { code: number } } }) =>
    tell("error", { code: error?.data?.code }),
  );
  clients.set(ask.client, client);
}

/** Names of events of pusher-js in those of the scenarios. */
const NAMES: Readonly<Record<string, string>> = {
  "pusher:subscription_succeeded": "subscribed",
  "pusher:subscription_error": "refused",
  "pusher:member_added": "member_added",
  "pusher:member_removed": "member_removed",
};

function subscribe(client: Pusher, ask: Ask): void {
  const channel = client.subscribe(ask.channel);
  // biome-ignore lint/suspicious/noExplicitAny: what an event holds is its sender's
  channel.bind_global((name: string, data: any, metadata?: { user_id?: string }) => {
    const event = NAMES[name] ?? name;
    const member = event.startsWith("member_") ? data.id : undefined;
    say({
      client: ask.client,
      event: "event",
      channel: ask.channel,
      name: event,
      data: JSON.stringify(data),
      user: member ?? metadata?.user_id,
    });
    if (event === "subscribed" && ask.channel.startsWith("presence-")) {
      const members = JSON.stringify(Object.keys(data.members).toSorted());
      say({ client: ask.client, event: "event", channel: ask.channel, name: "members", data: members });
    }
  });
}

serve((ask) => {
  if (ask.do === "new") return create(ask);
  const client = clients.get(ask.client)!;
  switch (ask.do) {
    case "connect":
      return client.connect();
    case "disconnect":
      return client.disconnect();
    case "subscribe":
      return subscribe(client, ask);
    case "unsubscribe":
      return client.unsubscribe(ask.channel);
    case "trigger":
      client.channel(ask.channel).trigger(ask.name, ask.data);
      return;
    case "signin":
      client.user.bind_global((name: string, data: unknown) =>
        say({ client: ask.client, event: "event", channel: "#user", name, data: JSON.stringify(data) }),
      );
      client.user.watchlist.bind_global((name: string, data: unknown) =>
        say({ client: ask.client, event: "event", channel: "#watchlist", name, data: JSON.stringify(data) }),
      );
      return client.signin();
  }
  throw new Error(`unknown command ${ask.do}`);
});
