import Pusher from "pusher";
import { type Ask, serve } from "./lines.ts";

/* Runs the stock Pusher server SDK for Node for the compatibility tests. */

let pusher: Pusher;

const query = ({ prefix, info }: Ask) => ({
  ...(prefix && { filter_by_prefix: prefix }),
  ...(info?.length > 0 && { info: info.join(",") }),
});

const get = async (path: string, params: object = {}) => await (await pusher.get({ path, params })).json();

serve(async (ask) => {
  switch (ask.do) {
    case "new":
      pusher = new Pusher({
        appId: ask.app,
        key: ask.key,
        secret: ask.secret,
        host: ask.host,
        port: String(ask.port),
        useTLS: false,
        encryptionMasterKeyBase64: ask.masterKey,
      });
      return {};
    case "trigger":
      return await (
        await pusher.trigger(ask.channels, ask.name, ask.data, {
          ...(ask.socket && { socket_id: ask.socket }),
          ...query(ask),
        })
      ).json();
    case "batch":
      return await (await pusher.triggerBatch(ask.events)).json();
    case "channels":
      return await get("/channels", query(ask));
    case "channel":
      return await get(`/channels/${ask.channel}`, query(ask));
    case "users":
      return await get(`/channels/${ask.channel}/users`);
    case "sendToUser":
      return await (await pusher.sendToUser(ask.user, ask.name, ask.data)).json();
    case "terminate":
      return await (await pusher.terminateUserConnections(ask.user)).json();
    case "authorize":
      return pusher.authorizeChannel(ask.socket, ask.channel, ask.member);
    case "authenticate":
      return pusher.authenticateUser(ask.socket, ask.userData);
    case "webhook": {
      const headers = {
        "x-pusher-key": ask.key,
        "x-pusher-signature": ask.signature,
        "content-type": "application/json",
      };
      const found = pusher.webhook({ headers, rawBody: ask.body });
      return found.isValid() ? { valid: true, events: found.getEvents() } : { valid: false, events: [] };
    }
  }
  throw new Error(`unknown command ${ask.do}`);
});
