import { start } from "./start.ts";
import type { Trunkline, TrunklineOptions } from "./types.ts";

export { RpcError } from "./rpc-error.ts";
export type * from "./types.ts";

/** Starts a gateway that opens no port. @throws UserError that lists what is wrong with the settings */
export async function createTrunkline(options: TrunklineOptions = {}): Promise<Trunkline> {
  return (await start(options)).trunkline;
}
