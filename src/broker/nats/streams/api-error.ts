/**
 * What a cluster answers that is still forming, or has no leader: incomplete results, no suitable peers for placement, not
 * assigned to this server, temporarily unavailable, not the leader, insufficient resources, not a member, offline, moving.
 */
export const PASSING = [10004, 10005, 10007, 10008, 10009, 10023, 10044, 10118, 10124] as const;

/** An error JetStream answered with; the codes are those of nats-server's server/errors.json. */
export class JetStreamError extends Error {
  readonly code: number;
  /** It may pass by itself. */
  readonly passing: boolean;
  constructor(code: number, description: string) {
    super(description);
    this.code = code;
    this.passing = (PASSING as readonly number[]).includes(code);
  }
}
