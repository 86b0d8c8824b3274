import { connect, headers } from "nats";

/**
 * A service that knows nothing of Trunkline: publishes numbered messages to one subject over plain NATS as fast as it
 * can, in a process of its own. Arguments: NATS URL, subject, count. Prints how many the stream has acknowledged.
 */
const [url, subject, count] = process.argv.slice(2) as [string, string, string];
const nc = await connect({ servers: url });
const js = nc.jetstream();
const WINDOW = 512;
let next = 0;
let acked = 0;
const worker = async () => {
  while (next < Number(count)) {
    const n = next++;
    const h = headers();
    h.set("Nats-Msg-Id", `${subject}:${n}`);
    // At least once from the publisher's side: the id makes the repetition harmless.
    for (let attempt = 0; ; attempt++) {
      try {
        await js.publish(subject, JSON.stringify({ n }), { headers: h });
        break;
      } catch (error) {
        if (attempt > 50) throw error;
      }
    }
    acked++;
  }
};
// One worker publishes in order; a window keeps the link full. Order of n is not promised, only completeness.
await Promise.all(Array.from({ length: WINDOW }, worker));
console.log(JSON.stringify({ acked }));
await nc.drain();
