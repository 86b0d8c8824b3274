/** The run cannot start or continue, for a reason that the user can fix. */
export class BenchError extends Error {
  override readonly name = "BenchError";
}
