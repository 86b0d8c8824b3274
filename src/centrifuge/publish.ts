import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { z } from "zod";
import type { PublishDecision } from "../auth/auth.ts";
import { checkBody } from "../broker/body.ts";
import type { Published, PublishOptions } from "../broker/broker.ts";
import { DEFAULT_NAMESPACE } from "../core/channel.ts";
import { CommandError, Errors } from "../core/errors.ts";
import { rawMember } from "../core/json-text.ts";
import type { CalloutTarget } from "../core/namespace.ts";
import type { Body } from "../core/publication.ts";
import type { GatewayContext } from "../gateway/context.ts";
import { noteDuplicate } from "../gateway/instance/message-troubles.ts";
import { infoFor } from "../gateway/session/subscription.ts";
import { lacking, mayAccess } from "../gateway/subscribe/access.ts";
import type { PublishCommand, RpcCommand } from "../protocol/centrifuge/command.ts";
import { askerOf } from "./asker.ts";
import type { CentrifugeSession } from "./session.ts";

/** RPC methods that begin so are answered by the gateway itself. */
const OWN_METHODS = "trunkline.";

/** The built-in RPC for an idempotent publish. */
const PUBLISH_METHOD = "trunkline.publish";

const idempotentPublish = z.object({
  channel: z.string(),
  id: z.string().min(1).max(256),
  data: z.unknown(),
  priority: z.enum(["low", "normal", "high"]).optional(),
});

export async function publish(
  context: GatewayContext,
  session: CentrifugeSession,
  command: PublishCommand,
): Promise<void> {
  await publishAs(context, session, command.channel, command.data);
  // In one write with the message itself, which waits for the end of the turn where the publisher is in the channel.
  session.cork(() => session.send(session.codec.empty(command.id, "publish")));
}

/** A client publishes to a channel. Resolves when it is stored. `options.id` is the client's own idempotency key. */
async function publishAs(
  context: GatewayContext,
  session: CentrifugeSession,
  channel: string,
  data: Body,
  { id, priority }: Pick<PublishOptions, "id" | "priority"> = {},
): Promise<Published> {
  const name = context.hub.resolve(channel);
  const rules = context.hub.rules(name);
  if (!mayAccess(context, session, name, "pub")) {
    throw new CommandError(Errors.permissionDenied, lacking(rules, "pub"));
  }
  if (!session.takePublish(rules.name, rules.publishRate))
    throw new CommandError(Errors.tooManyRequests, `publishRate of namespace ${rules.name}`);
  context.quotas.publish(session, data.length);
  let body = data;
  let decision: PublishDecision = {};
  if (rules.publishCallout !== false) {
    const service = context.callouts(rules.publishCallout);
    const checked = checkBody(data, rules);
    const payload = typeof checked === "string" ? { data: checked } : { b64data: checked.toBase64() };
    const asked = { ...askerOf(session), channel, ...payload };
    decision = await context.quotas.call(session, name.namespace, () => service.publish(asked));
    body = decision.data ?? checked;
  }
  const { client, user, identity } = session;
  const info = infoFor(client, user, identity.info, session.subs.get(channel)?.info);
  const published = await context.broker.publish(name, body, {
    info,
    id: decision.id ?? (id && scopedId(user || client, channel, id)),
    ...(decision.tags && { tags: decision.tags }),
    ...(priority && { priority }),
  });
  noteDuplicate(context, channel, published, { user, client });
  context.taps.trace?.("published", { client, channel, offset: published.offset });
  return published;
}

/** A client's own idempotency key, apart from those of other users and channels; any text becomes a valid one. */
function scopedId(owner: string, channel: string, id: string): string {
  return createHash("sha256")
    .update(JSON.stringify([owner, channel, id]))
    .digest("base64url");
}

/** Asks the service that the method's name or the settings say. */
export async function rpc(
  context: GatewayContext,
  session: CentrifugeSession,
  command: RpcCommand,
): Promise<void> {
  const { rpcMethod: method, data } = command;
  if (method.startsWith(OWN_METHODS)) return await ownRpc(context, session, command);
  const { rpcBodyBytes, rpcCallouts } = context.options;
  const target = rpcTarget(rpcCallouts, method);
  // In NATS the method is a part of the subject.
  if (method === "" && target === true) throw new CommandError(Errors.methodNotFound);
  if (Buffer.byteLength(data) > rpcBodyBytes) throw new CommandError(Errors.limitExceeded);
  const { device, info } = session.identity;
  const asked = { ...askerOf(session), method, data, device, info };
  const answer = await context.quotas.call(session, undefined, () => context.callouts(target).rpc(asked));
  session.send(session.codec.rpc(command.id, answer));
}

/** Who is asked for a method: what stands before its first colon decides, `default` being for methods without one. */
function rpcTarget(targets: GatewayContext["options"]["rpcCallouts"], method: string): CalloutTarget {
  const colon = method.indexOf(":");
  const namespace = colon < 0 ? DEFAULT_NAMESPACE : method.slice(0, colon);
  if (Object.hasOwn(targets, namespace)) return targets[namespace]!;
  return targets["*"] ?? true;
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
    throw new CommandError(Errors.badRequest, "trunkline.publish takes {channel, id, data, priority?}");
  }
  const { channel, id, priority } = request.data;
  const options = priority ? { id, priority } : { id };
  const { offset, epoch, duplicate } = await publishAs(context, session, channel, data, options).catch(
    (error: unknown) => {
      throw error instanceof CommandError ? error.in({ what: "publish", channel }) : error;
    },
  );
  session.send(session.codec.rpc(command.id, JSON.stringify({ offset, epoch, duplicate })));
}
