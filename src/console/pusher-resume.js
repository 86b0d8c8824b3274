/**
 * Gives a pusher-js client what it missed while it was away. Call it right after `new Pusher(…)`:
 *
 *     import { resume } from "https://…/pusher-resume.js";
 *     const pusher = new Pusher(key, options);
 *     resume(pusher);
 *
 * Trunkline says where a channel is when it is subscribed; from there events are counted, and a new connection begins by
 * saying how far this client came. A channel's event `trunkline:position` with `recovered: false` means that what was
 * missed is not kept any more.
 */
export function resume(pusher) {
  const points = new Map(); // by channel: [epoch, offset, events counted since]
  const sockets = []; // connections this client had
  const { connection } = pusher;
  connection.bind("state_change", ({ current }) => {
    if (current !== "connected") return;
    const channels = [...points].filter(([name]) => name[0] === "#" || pusher.channel(name));
    pusher.send_event("trunkline:resume", { sockets, channels: Object.fromEntries(channels) });
    sockets.splice(0, sockets.length - 10);
    sockets.push(connection.socket_id);
  });
  connection.bind_global((name, { event, channel, data } = {}) => {
    if (name !== "message" || !channel) return;
    const point = points.get(channel);
    if (event === "trunkline:position") points.set(channel, [data.epoch, data.offset, 0]);
    else if (point && !/^(client-|pusher:|pusher_internal:|trunkline:)/.test(event) && ++point[2] % 50 === 0)
      pusher.send_event("trunkline:position", {}, channel);
  });
}
