import type { DenoConnection } from "./api.ts";

/** What is carried at once, each way, bytes. */
const CARRIED_BYTES = 8 * 1024;

/** Carries one way, as fast as it is taken, until the end. @param first what was read before */
export async function pump(from: DenoConnection, to: DenoConnection, first?: Uint8Array): Promise<void> {
  to.setNoDelay?.(true);
  if (first) await writeAll(to, first);
  const bytes = new Uint8Array(CARRIED_BYTES);
  for (let length = await from.read(bytes); length !== null; length = await from.read(bytes)) {
    await writeAll(to, bytes.subarray(0, length));
  }
}

async function writeAll(to: DenoConnection, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length; ) written += await to.write(bytes.subarray(written));
}

export function close(connection: DenoConnection): void {
  try {
    connection.close();
  } catch {
    // It is closed already.
  }
}
