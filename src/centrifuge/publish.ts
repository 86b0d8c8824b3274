import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { z } from "zod";
import { checkBody } from "../broker/body.ts";
import type { Published } from "../broker/broker.ts";
import { CommandError, Errors } from "../core/errors.ts";
import { headerText, jsonFlaw, oneLine } from "../core/json-check.ts";
import { rawMember } from "../core/json-text.ts";
import type { Body } from "../core/publication.ts";
import type { GatewayContext } from "../gateway/context.ts";
import { infoFor } from "../gateway/session/subscription.ts";
import { mayAccess } from "../gateway/subscribe/access.ts";
import type { PublishCommand, RpcCommand } from "../protocol/centrifuge/command.ts";
import type { CentrifugeSession } from "./session.ts";

/** RPC methods that begin so are answered by the gateway itself. */
const OWN_METHODS = "trunkline.";

/** The built-in RPC for an idempotent publish. */
const PUBLISH_METHOD = "trunkline.publish";

const idempotentPublish = z.object({
  channel: z.string(),
  id: z.string().min(1).max(256),
  data: z.unknown(),
});

export async function publish(
  context: GatewayContext,
  session: CentrifugeSession,
  command: PublishCommand,
): Promise<void> {
  await publishAs(context, session, command.channel, command.data);
  session.send(session.codec.empty(command.id, "publish"));
}

/** A client publishes to a channel. Resolves when it is stored. @param id the client's own idempotency key */
async function publishAs(
  context: GatewayContext,
  session: CentrifugeSession,
  channel: string,
  data: Body,
  id?: string,
): Promise<Published> {
  const name = context.hub.resolve(channel);
  const rules = context.hub.rules(name);
  if (!mayAccess(context, session, name, "pub")) {
    throw new CommandError(Errors.permissionDenied);
  }
  if (!session.takePublish(rules.name, rules.publishRate)) throw new CommandError(Errors.tooManyRequests);
  context.quotas.publish(session, data.length);
  let body = data;
  if (rules.publishCallout) {
    const { client, user, identity } = session;
    const checked = checkBody(data, rules);
    const payload = typeof checked === "string" ? { data: checked } : { b64data: checked.toBase64() };
    const asked = { client, user, channel, ...payload, meta: identity.meta };
    const answer = await context.quotas.call(session, () => context.callouts.publish(asked));
    body = answer.data ?? checked;
  }
  const { client, user, identity } = session;
  const info = infoFor(client, user, identity.info, session.subs.get(channel)?.info);
  const published = await context.broker.publish(name, body, {
    info,
    id: id && scopedId(user || client, channel, id),
  });
  context.log.trace?.("published", { client, channel, offset: published.offset });
  return published;
}

/** A client's own idempotency key, apart from those of other users and channels; any text becomes a valid one. */
function scopedId(owner: string, channel: string, id: string): string {
  return createHash("sha256")
    .update(JSON.stringify([owner, channel, id]))
    .digest("base64url");
}

/** Asks the service that answers `rtrpc.<method>`; the client's identity travels in headers. */
export async function rpc(
  context: GatewayContext,
  session: CentrifugeSession,
  command: RpcCommand,
): Promise<void> {
  if (command.rpcMethod === "") throw new CommandError(Errors.methodNotFound);
  if (command.rpcMethod.startsWith(OWN_METHODS)) return await ownRpc(context, session, command);
  const { rpcBodyBytes } = context.options;
  if (Buffer.byteLength(command.data) > rpcBodyBytes) throw new CommandError(Errors.limitExceeded);
  const options = { timeoutMs: context.options.rpcTimeoutMs, headers: identityHeaders(context, session) };
  const reply = await context.quotas.call(session, () =>
    context.broker.request("rpc", command.rpcMethod, command.data, options),
  );
  if (reply.error) {
    const { code, message } = reply.error;
    // 400 to 1999 is the range of application errors; other codes have a meaning of their own for the SDKs.
    if (code >= 400 && code < 2000) throw new CommandError({ code, message });
    throw new CommandError(Errors.internal, `service error ${code}`);
  }
  if (Buffer.byteLength(reply.data) > rpcBodyBytes) {
    throw new CommandError(Errors.limitExceeded, "a service's answer is too long");
  }
  session.send(session.codec.rpc(command.id, jsonLine(reply.data)));
}

async function ownRpc(
  context: GatewayContext,
  session: CentrifugeSession,
  command: RpcCommand,
): Promise<void> {
  if (command.rpcMethod !== PUBLISH_METHOD) throw new CommandError(Errors.methodNotFound);
  const request = idempotentPublish.safeParse(JSON.parse(command.data));
  const data = rawMember(command.data, "data");
  if (!request.success || data === undefined) {
    throw new CommandError(Errors.badRequest, "trunkline.publish takes {channel, id, data}");
  }
  const { channel, id } = request.data;
  const { offset, epoch, duplicate } = await publishAs(context, session, channel, data, id);
  session.send(session.codec.rpc(command.id, JSON.stringify({ offset, epoch, duplicate })));
}

/** Who asks, for a service: `Trunkline-From` holds all as JSON, the others what is wanted most, percent-encoded. */
function identityHeaders(context: GatewayContext, session: CentrifugeSession): Record<string, string> {
  const { client, user, identity, handshake } = session;
  const from = {
    client,
    user,
    device: identity.device,
    ip: handshake.ip,
    region: context.region,
    instance: context.instance,
  };
  const own = JSON.stringify(from).slice(0, -1);
  const info = identity.info === undefined ? "" : `,"info":${identity.info}`;
  const meta = identity.meta === undefined ? "" : `,"meta":${identity.meta}`;
  return {
    "Trunkline-From": headerText(`${own}${info}${meta}}`),
    "Trunkline-Client": client,
    "Trunkline-User": encodeURIComponent(user),
  };
}

/** A service's answer as one line of JSON. @throws CommandError internal when it is none */
function jsonLine(text: string): string {
  if (text === "") return "null";
  const flaw = jsonFlaw(text);
  if (flaw !== undefined) throw new CommandError(Errors.internal, `a service's answer is ${flaw}`);
  return oneLine(text);
}
