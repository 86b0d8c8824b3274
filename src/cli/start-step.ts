import { UserError } from "./output.ts";

/** Runs one step of the start, and waits for it until `stop`. @throws UserError; `stop.reason` */
export async function step<T>(what: string, stop: AbortSignal, action: () => T | Promise<T>): Promise<T> {
  stop.throwIfAborted();
  const stopped = Promise.withResolvers<never>();
  const onAbort = () => stopped.reject(stop.reason);
  stop.addEventListener("abort", onAbort);
  try {
    return await Promise.race([action(), stopped.promise]);
  } catch (error) {
    throw stop.aborted ? stop.reason : startError(what, error);
  } finally {
    stop.removeEventListener("abort", onAbort);
  }
}

/** @param what could not be done, as a verb with its object */
export function startError(what: string, error: unknown): Error {
  if (error instanceof UserError) return error;
  return new UserError(`cannot ${what}: ${error instanceof Error ? error.message : String(error)}`, {
    cause: error,
  });
}
