/** The run cannot begin, or cannot go on, for a reason a person can do something about. */
export class BenchError extends Error {
  override readonly name = "BenchError";
}
