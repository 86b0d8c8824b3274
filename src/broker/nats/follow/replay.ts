import { createInbox, type Msg, nuid } from "nats";
import { type Envelope, openEnvelope } from "../link/headers.ts";
import type { Link } from "../link/link.ts";
import type { Store } from "../streams/store.ts";

/** A replay in which nothing came for this long is broken, ms. */
const STALL_MS = 3_000;

/**
 * Gives every message of a stream from `from` on to `each`, unfiltered, until what was stored when it began is read.
 * Rejects when the link is lost meanwhile, when `each` returns false, or when nothing comes.
 */
export async function replay(
  link: Link,
  store: Store,
  from: number,
  each: (subject: string, seq: number, envelope: Envelope) => boolean,
): Promise<void> {
  // One message at a time takes minutes across an ocean: from there, too, a consumer is the shorter way.
  if (!store.batches) return await consume(link, store.stream, from, each);
  const whole = await store.read(">", from, { expected: Number.POSITIVE_INFINITY }, (envelope) =>
    each(envelope.subject ?? "", envelope.seq, envelope),
  );
  if (!whole) throw new Error("replay abandoned");
}

/**
 * By an ephemeral push consumer, for servers without batches. Never with a filter: nats-server 2.9 then scans the
 * block for every message it delivers. Flow-controlled, so that it cannot drown the connection.
 */
async function consume(
  link: Link,
  stream: string,
  from: number,
  each: (subject: string, seq: number, envelope: Envelope) => boolean,
): Promise<void> {
  const { nc, generation } = link;
  const inbox = createInbox();
  const name = nuid.next();
  let wanted = -1;
  let got = 0;
  let seen = performance.now();
  let end!: (error?: Error) => void;
  const ended = new Promise<void>((resolve, reject) => {
    end = (error) => (error ? reject(error) : resolve());
  });
  ended.catch(() => {}); // it may fail before it is awaited
  const take = (message: Msg) => {
    seen = performance.now();
    const envelope = openEnvelope(message);
    if (!message.reply?.startsWith("$JS.ACK.")) {
      if (message.reply) message.respond(); // flow control; else a heartbeat
      return;
    }
    // $JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<times>.<stream seq>.<consumer seq>.<time>.<pending>[.<token>]
    const tokens = message.reply.split(".");
    const at = tokens.length === 9 ? 5 : 7;
    got++;
    if (Number(tokens[at + 1]) !== got) end(new Error("replay has a hole"));
    else if (!each(message.subject, Number(tokens[at]), envelope)) end(new Error("replay abandoned"));
    else if (wanted >= 0 && got >= wanted) end();
  };
  const subscription = nc.subscribe(inbox, {
    callback: (error, message) => {
      try {
        if (error) throw error;
        take(message);
      } catch (failure) {
        end(failure as Error);
      }
    },
  });
  const watch = setInterval(() => {
    if (link.generation !== generation || performance.now() - seen > STALL_MS)
      end(new Error("replay broken"));
  }, 50);
  try {
    const request = {
      stream_name: stream,
      config: {
        name,
        ack_policy: "none",
        deliver_policy: "by_start_sequence",
        opt_start_seq: Math.max(1, from),
        deliver_subject: inbox,
        flow_control: true,
        idle_heartbeat: 5_000_000_000,
        inactive_threshold: 5_000_000_000,
        mem_storage: true,
        num_replicas: 1,
      },
    };
    const answer = await nc.request(`$JS.API.CONSUMER.CREATE.${stream}.${name}`, JSON.stringify(request), {
      timeout: 2_000,
    });
    const made = answer.json<{
      error?: { description: string };
      num_pending: number;
      delivered: { consumer_seq: number };
    }>();
    if (made.error) throw new Error(made.error.description);
    wanted = made.num_pending + made.delivered.consumer_seq;
    if (got < wanted) await ended;
  } finally {
    clearInterval(watch);
    subscription.unsubscribe();
    // It would vanish by itself after the inactive threshold.
    if (link.generation === generation) nc.publish(`$JS.API.CONSUMER.DELETE.${stream}.${name}`);
  }
}
