/** Why tests of a suite fail here. */
export interface Reason {
  /** Which tests, by their names. */
  readonly tests: RegExp;
  readonly why: string;
}

/** By SDK. Every test that fails has exactly one; a unit test holds `docs/suites.json` to it. */
export const REASONS: Readonly<Record<string, readonly Reason[]>> = {
  "centrifuge-js": [
    {
      tests: /^(map|map\.protobuf): |^delta: map delta|^recovery: map: /,
      why: "only Centrifugo has map subscriptions (`newMapSubscription`, map presence); here they are refused with 108",
    },
    {
      tests: /^shared_poll/,
      why: "only Centrifugo has shared poll (`newSharedPollSubscription`); here it is refused with 108",
    },
    {
      tests: /: rpc buffered till connected$/,
      why:
        "it expects the number that Centrifugo gives without an RPC proxy (108, not available); here nobody answers the " +
        "method (104, method not found)",
    },
  ],
  "centrifuge-go": [
    {
      tests: /^TestPublishProtobuf$/,
      why: "it publishes bytes that are no JSON; a namespace takes them with `format: binary`, and then JSON clients get base64",
    },
  ],
  "centrifuge-python": [
    {
      tests: /^TestAutoRecovery\.test_auto_recovery$/,
      why: "it takes the offset for an index that counts from 1; offsets rise with gaps ([positions](positions.md))",
    },
    {
      tests: /^TestServerSideSubscriptions\.test_server_side_subs$/,
      why: "it expects Centrifugo's name of a personal channel (`#42`); here it is `user:42`",
    },
  ],
  "centrifuge-java": [
    {
      tests: /testPublishQueuedDuringReconnectIsDelivered$/,
      why: "it expects not to be told code 3000 of a disconnect: Centrifugo cuts the connection for this one number",
    },
  ],
};

/** Whether it is known why a test fails. */
export function hasReason(sdk: string, name: string): boolean {
  return (REASONS[sdk] ?? []).some(({ tests }) => tests.test(name));
}

/** The reason of a failed test. @throws when there is none, or more than one */
export function reasonOf(sdk: string, name: string): Reason {
  const found = (REASONS[sdk] ?? []).filter(({ tests }) => tests.test(name));
  if (found.length !== 1) throw new Error(`${sdk}: ${found.length} reasons for ${name}`);
  return found[0]!;
}
