import type { Authenticator, FindCallouts } from "../auth/auth.ts";
import type { Broker, EventRecorder } from "../broker/broker.ts";
import type { Logger } from "../core/log.ts";
import type { CalloutTarget, Namespaces } from "../core/namespace.ts";
import type { PacedLog } from "../core/paced-log.ts";
import type { Stats } from "../core/stats.ts";
import type { Tracing } from "../core/tracing.ts";
import type { Presence } from "../presence/presence.ts";
import type { OutboxDesk } from "../webhooks/desk.ts";
import type { Fanout } from "./channel/audience.ts";
import type { ConnectionLog } from "./instance/connection-log.ts";
import type { Vitals } from "./instance/figures.ts";
import type { LogLevelSwitch } from "./instance/log-level.ts";
import type { LongAnswers } from "./instance/long-answers.ts";
import type { Moves } from "./instance/move.ts";
import type { QuotaOptions, Quotas } from "./instance/quotas.ts";
import type { Reads } from "./instance/reads.ts";
import type { Troubles } from "./instance/trouble.ts";
import type { EventPublisher } from "./membership/events.ts";
import type { ChannelPolicy, MembershipListener } from "./membership/listener.ts";
import type { MemberLists } from "./membership/members.ts";
import type { PresenceTracker } from "./membership/tracker.ts";
import type { Restrictions } from "./restrictions/table.ts";
import type { Emulation } from "./session/emulation.ts";
import type { Hub } from "./session/hub.ts";
import type { LibraryNames } from "./session/library-names.ts";
import type { Liveness } from "./session/liveness.ts";
import type { Taps } from "./trace/taps.ts";
import type { Traces } from "./trace/traces.ts";

/** What a gateway is made of: ports and plain values, built and closed elsewhere. */
export interface GatewayDeps {
  readonly instance: string;
  readonly region: string;
  readonly version: string;
  readonly options: GatewayOptions;
  readonly namespaces: Namespaces;
  readonly broker: Broker;
  /** Where events for the business cluster go; absent: to the broker alone. */
  readonly recorder?: EventRecorder | undefined;
  /** Looks into the outbox of webhooks; absent: there are none. */
  readonly outbox?: OutboxDesk | undefined;
  readonly presence: Presence;
  readonly authenticator: Authenticator;
  readonly callouts: FindCallouts;
  /** What families of clients say of channels by their names. */
  readonly policy: ChannelPolicy;
  /** Told who comes and goes. */
  readonly membership: MembershipListener;
  /** The runtime's native publish. */
  readonly fanout: Fanout;
  /** Whether the instance is overloaded. */
  readonly overloaded: () => boolean;
  /** How the process is. */
  readonly vitals: () => Vitals;
  /** Gives a connection's place back to admission. */
  readonly release: (admissionKey: string) => void;
  readonly stats: Stats;
  /** Distributed traces; absent: nobody wants them. */
  readonly tracing?: Tracing | undefined;
  readonly log: Logger;
  /** Where comings and goings are told; absent: nowhere. */
  readonly connectionLog?: Logger | undefined;
}

/** Everything of one instance that commands, signals and operations work on. Built once, by `createGateway`. */
export interface GatewayContext extends GatewayDeps {
  readonly hub: Hub;
  readonly tracker: PresenceTracker;
  readonly liveness: Liveness;
  readonly emulation: Emulation;
  readonly reads: Reads;
  readonly answers: LongAnswers;
  readonly members: MemberLists;
  readonly quotas: Quotas;
  readonly moves: Moves;
  readonly comings: ConnectionLog;
  readonly logLevel: LogLevelSwitch;
  readonly libraries: LibraryNames;
  /** Where steps of connections, channels and messages are told. */
  readonly taps: Taps;
  /** Traces that are looked at through this instance. */
  readonly traces: Traces;
  /** What went wrong for clients lately. */
  readonly troubles: Troubles;
  /** What went wrong with messages lately: refused to services, stored before, left out under overload. */
  readonly messageTroubles: Troubles;
  readonly events: EventPublisher;
  readonly restrictions: Restrictions;
  /** Where control signals are reported that cannot be carried out. */
  readonly badSignals: PacedLog;
  /** When the instance was built, ms of the monotonic clock. */
  readonly startedAt: number;
}

/** Settings of the gateway as plain values; durations in ms, sizes in bytes. */
export interface GatewayOptions extends QuotaOptions {
  /** Let clients without any credentials in, as the user "". */
  readonly anonymous: boolean;
  /** Ask about clients without a token. */
  readonly connectCallout: false | CalloutTarget;
  /** Ask to prolong connections that expire; otherwise the client brings a new token. */
  readonly refreshCallout: false | CalloutTarget;
  /** Who is asked for an RPC, by what stands before the first colon of its method. See `rpcTarget`. */
  readonly rpcCallouts: Readonly<Record<string, CalloutTarget>>;
  /** Headers in connect commands that some endpoint is to see, in lower case. */
  readonly emulatedHeaders: readonly string[];
  /** Everybody may subscribe, publish and look, whatever the namespaces say (but for other users' inboxes). */
  readonly insecure: boolean;
  readonly connectDeadlineMs: number;
  readonly pingIntervalMs: number;
  readonly pongTimeoutMs: number;
  /** How long past its expiry a connection or subscription may live without a refresh. */
  readonly expiryGraceMs: number;
  readonly commandsPerSecond: number;
  readonly bytesPerSecond: number;
  /** Commands of one connection that wait for their answers; further ones are refused. */
  readonly pendingCommands: number;
  /** Channels one connection may subscribe to. */
  readonly channels: number;
  /** Channels every connection is subscribed to from the start. */
  readonly everyone: readonly string[];
  /** 0: no limit. */
  readonly connectionsPerUser: number;
  /** Close older connections of the same user, or of the same user and device. */
  readonly newestWins: "off" | "user" | "device";
  readonly rpcBodyBytes: number;
  /** Bytes of history asked for at once, by the instance and by one user. */
  readonly historyBytes: number;
  readonly historyPerUserBytes: number;
  /** A connection with more than this unsent is closed by the runtime. */
  readonly backpressureBytes: number;
  /** Most lines a second about comings, and as many about goings; 0: no limit. */
  readonly connectionLinesPerSecond: number;
  /** Traces may show the bodies of messages. */
  readonly tracePayloads: boolean;
  readonly lingerMs: number;
  readonly ringBytes: number;
  readonly ringTotalBytes: number;
}
