/** Runs something in which the simulation's time passes: it must not be called from a promise's continuation. */
export async function inOwnTime<T>(run: () => T): Promise<T> {
  await new Promise((resolve) => setTimeout(resolve, 0));
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  setTimeout(() => {
    try {
      resolve(run());
    } catch (error) {
      reject(error);
    }
  }, 0);
  return await promise;
}
