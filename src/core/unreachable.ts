/**
 * Closes a switch over a union: does not compile while a member of the union has no case. Should a value of another
 * kind get here all the same, it is an error of ours. @throws Error
 */
export function unreachable(value: never): never {
  throw new Error(`no case for ${JSON.stringify(value)}`);
}
