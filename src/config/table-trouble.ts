import { bytesPerSecond, duration, size, whole } from "./setting.ts";

/** Settings of what an instance does when it leaves, has too much to do, or cannot serve. */
export const trouble = {
  "drain.ratePerSecond": whole(1, 1_000_000, {
    default: 1_000,
    doc: "How many connections of Centrifuge SDKs a drain closes each second, with a code that tells them to reconnect. They come back after 500 to 1,000 ms, at random.",
  }),
  "drain.pusherRatePerSecond": whole(1, 1_000_000, {
    default: 500,
    doc: "The same of Pusher SDKs, beside the others. They all come back after exactly one second, so that what is closed at once returns at once. At most `drain.ratePerSecond`.",
  }),
  "drain.oneWayRatePerSecond": whole(1, 1_000_000, {
    default: 500,
    doc: "The same of one-way streams (an `EventSource` comes back after a fixed time of its own). At most `drain.ratePerSecond`.",
  }),
  "drain.deadline": duration("0s", "1h", {
    default: "25s",
    doc: "When a drain closes all remaining connections at once. The platform's kill time-out must be longer.",
  }),
  "overload.eventLoopDelay": duration("10ms", "1m", {
    default: "500ms",
    doc:
      "Event-loop delay from which the instance sheds load. It closes idle connections only if the delay lasts 5 s. " +
      "From twice this delay on, it refuses connections.",
  }),
  "overload.memory": size("0B", "1024GiB", {
    default: "0B",
    doc: "Resident memory from which the instance sheds load. From a tenth more on, it refuses connections. 0: no limit.",
  }),
  "overload.bytesOutPerSecond": bytesPerSecond({
    default: "0B",
    doc: "Bytes sent a second from which the instance sheds load. From a tenth more on, it refuses connections. 0: no limit.",
  }),
  "health.natsAway": duration("0s", "1h", {
    default: "10s",
    doc:
      "Once NATS has been away for longer than this, the instance cannot serve: `/readyz` fails, `GET /regions` says so, " +
      "upgrades get 503, and its clients are sent to other instances, if some can serve.",
  }),
} as const;
