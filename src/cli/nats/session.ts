import { type Link, openLink } from "../../broker/nats/link/link.ts";
import { RequestError, Requests } from "../../broker/nats/link/requests.ts";
import { StartError } from "../../broker/nats/link/start-error.ts";
import { StreamAdmin } from "../../broker/nats/streams/admin.ts";
import { JetStreamError } from "../../broker/nats/streams/api-error.ts";
import type { Config } from "../../config.ts";
import { silent } from "../../core/log.ts";
import { Stats } from "../../core/stats.ts";
import { natsAddress } from "../drivers.ts";
import { UserError } from "../output.ts";

const CONNECT_TIMEOUT_MS = 5_000;

/** A command's connection to NATS, with an instance's login. */
export interface NatsSession {
  readonly link: Link;
  readonly requests: Requests;
  readonly streams: StreamAdmin;
}

/** Does something on the NATS that the settings name. @throws UserError when there is none, or nobody answers */
export async function onNats<T>(
  config: Config,
  name: string,
  work: (session: NatsSession) => Promise<T>,
): Promise<T> {
  if (config.nats.urls.length === 0) {
    throw new UserError("no NATS is configured: set nats.urls (NATS_URL), as for an instance");
  }
  let link: Link | undefined;
  try {
    link = await openLink({
      ...(await natsAddress(config)),
      ...{ name, pingIntervalMs: 5_000, connectTimeoutMs: CONNECT_TIMEOUT_MS },
      ...{ log: silent, stats: new Stats() },
    });
    const requests = new Requests(link);
    try {
      return await work({ link, requests, streams: new StreamAdmin(requests, silent) });
    } finally {
      requests.close();
    }
  } catch (error) {
    if (error instanceof StartError) throw new UserError(error.message);
    if (error instanceof RequestError || error instanceof JetStreamError) {
      throw new UserError(`JetStream: ${error.message}; trunkline doctor names the cause`);
    }
    throw error;
  } finally {
    await link?.close();
  }
}
