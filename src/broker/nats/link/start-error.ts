/** What keeps an instance from starting on NATS, and how to mend it. The message is both, and holds no secret. */
export class StartError extends Error {
  /**
   * `unreachable`: no server answers; `login`: it refuses us; `jetstream`: it has none; `stream`: one is in the way;
   * `mapping`: publishes do not get where they belong; `replicas`: the servers are too old for them.
   */
  readonly kind: "unreachable" | "login" | "jetstream" | "stream" | "mapping" | "replicas";
  readonly problem: string;
  /** A sentence, with the line to type where there is one. */
  readonly remedy: string;
  /** It may pass by itself: a cluster is still forming. */
  readonly passing: boolean;

  constructor(kind: StartError["kind"], problem: string, remedy: string, passing = false) {
    super(`${problem}. ${remedy}`);
    this.name = "StartError";
    this.passing = passing;
    this.kind = kind;
    this.problem = problem;
    this.remedy = remedy;
  }
}
