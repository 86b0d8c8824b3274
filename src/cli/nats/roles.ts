import type { Subjects } from "../../core/subject.ts";

/** What a login on NATS may do. Everything that is not named is refused. */
export interface Role {
  /** Its name as a user, and the last part of its inbox prefix. */
  readonly name: string;
  /** What it is for, in a few words. */
  readonly purpose: string;
  readonly publish: readonly string[];
  /** Taken away from `publish`. */
  readonly deny: readonly string[];
  readonly subscribe: readonly string[];
  /** May answer what it is asked, wherever the answer is to go. */
  readonly responses: boolean;
  /** Answers to its own requests arrive below this, and nobody else may listen there. */
  readonly inbox: string;
}

/** Durable consumer of events whose rights are printed unless others are named. */
export const DEFAULT_CONSUMERS = ["events"] as const;

/** Names of consumers: a user, a variable with `_PASSWORD`, a token of a subject. */
export const CONSUMER_PATTERN = /^[a-z][a-z0-9_]{0,31}$/;

/** Signals that come from services, too. The others are for gateways among themselves. */
const SERVICE_SIGNALS = [
  ...["disconnect", "subscribe", "unsubscribe", "refresh"],
  ...["revoke", "block", "unblock", "restrictions"],
] as const;

/** What operators alone ask: who runs, connections that are to move, any method of the server API, live traces. */
const OPERATOR_SIGNALS = ["info", "move", "why", "api", "tap", "untap"] as const;

/** Requests about the outbox of webhooks: what waits in it is for operators alone. */
const OUTBOX = ["outbox", "outbox_look", "outbox_replay"] as const;

/**
 * The roles of a system, each with the least rights that work and an inbox of its own.
 *
 * A reply subject is not checked by nats-server: who may ask JetStream for messages may have them delivered to any
 * subject, rights or not. So nobody but gateways and operators may ask for messages of channels or make consumers.
 *
 * @param consumers durable consumers of the stream of events; each is a role of its own
 */
export function rolesOf(subjects: Subjects, consumers: readonly string[] = DEFAULT_CONSUMERS): Role[] {
  const { root } = subjects;
  const role = (name: string, purpose: string, rights: Partial<Role>): Role => {
    const inbox = subjects.inbox(name);
    const { publish = [], deny = [], subscribe = [], responses = false } = rights;
    return { name, purpose, publish, deny, subscribe: [...subscribe, `${inbox}.>`], responses, inbox };
  };
  // Where a message is to be traced by the servers, they refuse the message itself of whoever may not publish there.
  const traces = subjects.traces();
  const signals = SERVICE_SIGNALS.map((kind) => subjects.control(kind));
  // Instances of a service answer `nats micro`, too.
  const service = { responses: true };
  return [
    role("gateway", "the instances of Trunkline", gatewayRights(subjects)),
    role("publisher", "publishes messages", {
      publish: [`${root}.>`, traces],
      // The marks of removed histories.
      deny: [`${root}.*.%.>`, `${root}.%.*.*.*.%.>`],
    }),
    role("rpc", "answers RPCs", {
      ...{ publish: [traces], subscribe: [`${root}rpc.>`, "$SRV.>"] },
      ...service,
    }),
    role("auth", "answers callouts", {
      ...{ publish: [traces], subscribe: [`${root}auth.>`, "$SRV.>"] },
      ...service,
    }),
    role("control", "disconnects, subscribes and unsubscribes users, takes rights back", {
      publish: [...signals, traces],
    }),
    ...consumers.map((name) =>
      role(name, `reads events as the durable consumer ${name}`, consumerRights(subjects, name)),
    ),
    role("operator", "looks after streams and consumers, and asks services how they are", {
      publish: [
        ...signals,
        ...OUTBOX.map((kind) => subjects.control(kind)),
        ...OPERATOR_SIGNALS.map((kind) => subjects.control(kind)),
        "$JS.API.>",
        "$SYS.REQ.USER.INFO",
        "$SRV.>",
        traces,
      ],
      // What instances see of what an operator looks at.
      subscribe: [subjects.events(), traces, `${root}ctl.inst.*.tapped`, "$JS.EVENT.>"],
    }),
  ];
}

function gatewayRights(subjects: Subjects): Partial<Role> {
  const { root } = subjects;
  const streams = [
    "NAMES",
    "INFO.*",
    "CREATE.*",
    "UPDATE.*",
    "PURGE.*",
    "DELETE.*",
    "MSG.GET.*",
    "MSG.DELETE.*",
  ];
  return {
    publish: [
      ...["", "l", "evt", "ctl", "hook", "rpc", "auth", "ent", "trace"].map((kind) => `${root}${kind}.>`),
      // Surveys are answered to other instances, and to operators.
      ...["gateway", "operator", "control"].map((role) => `${subjects.inbox(role)}.>`),
      ...["$JS.FC.>", "$JS.API.INFO", ...streams.map((what) => `$JS.API.STREAM.${what}`)],
      // How far the consumers of events are behind.
      `$JS.API.CONSUMER.LIST.${subjects.eventStream()}`,
      ...["$JS.API.DIRECT.GET.*", "$JS.API.CONSUMER.CREATE.*.*", "$JS.API.CONSUMER.DELETE.*.*"],
    ],
    subscribe: [
      ...["", "l", "ctl", "hook", "entl"].map((kind) => `${root}${kind}.>`),
      "$JS.EVENT.ADVISORY.STREAM.*.*",
    ],
  };
}

/** An operator makes the consumer: whoever may make one may have its messages delivered to any subject. */
function consumerRights(subjects: Subjects, name: string): Partial<Role> {
  const own = `${subjects.eventStream()}.${name}`;
  return {
    publish: [
      ...[`$JS.API.STREAM.INFO.${subjects.eventStream()}`, `$JS.API.CONSUMER.INFO.${own}`],
      ...[`$JS.API.CONSUMER.MSG.NEXT.${own}`, `$JS.ACK.${own}.>`, `$JS.ACK.*.*.${own}.>`],
    ],
  };
}

/** Whether a role's rights cover a subject, as nats-server sees it. Wildcards in the subject stand for themselves. */
export function mayDo(
  { publish, deny, subscribe }: Role,
  operation: "publish" | "subscribe",
  subject: string,
) {
  if (operation === "subscribe") return subscribe.some((pattern) => covers(pattern, subject));
  return (
    publish.some((pattern) => covers(pattern, subject)) && !deny.some((pattern) => covers(pattern, subject))
  );
}

function covers(pattern: string, subject: string): boolean {
  const tokens = pattern.split(".");
  const given = subject.split(".");
  for (const [at, token] of tokens.entries()) {
    if (token === ">") return given.length > at;
    if (given[at] === undefined || (token !== "*" && token !== given[at])) return false;
  }
  return tokens.length === given.length;
}
