/** A process could not be started, or ended before it was of any use; the message says what it wrote. */
export class ChildError extends Error {
  override readonly name = "ChildError";
}
