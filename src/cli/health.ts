import process from "node:process";
import { UserError } from "./output.ts";

const TIMEOUT_MS = 3_000;

/**
 * Asks an instance whether its process answers, as a container's health check does. Whether it should get clients is
 * GET /readyz, which is for the load balancer.
 * @throws UserError when it does not
 */
export async function health({ url }: { readonly url?: string }): Promise<void> {
  const base = url ?? `http://127.0.0.1:${process.env.PORT ?? 8080}`;
  const answer = await fetch(new URL("/healthz", base), { signal: AbortSignal.timeout(TIMEOUT_MS) }).catch(
    (error: Error) => {
      throw new UserError(`${base} does not answer: ${error.message}`);
    },
  );
  if (!answer.ok) throw new UserError(`${base} answers ${answer.status}`);
}
