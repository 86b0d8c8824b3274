/** How long {@link until} waits if nothing is said, ms. */
const PATIENCE_MS = 10_000;
const LOOK_MS = 5;

/** Waits until a probe answers something true, and returns that. @throws Error that names what was waited for */
export async function until<T>(
  probe: () => T | Promise<T>,
  { timeoutMs = PATIENCE_MS, what = "the condition" }: { timeoutMs?: number; what?: string } = {},
): Promise<NonNullable<T>> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value) return value as NonNullable<T>;
    if (performance.now() > end) throw new Error(`timed out after ${timeoutMs} ms waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
