import type { z } from "zod";
import { overrides } from "../auth/claims.ts";
import type { ErrorCode } from "../core/errors.ts";
import { JsonText } from "../core/json-value.ts";
import type { Body, ClientInfo, Priority, Publication } from "../core/publication.ts";
import { whyRequest } from "../gateway/findings.ts";
import type { Operations, PublishRequest, Target } from "../gateway/gateway.ts";
import { logLevelRequest } from "../gateway/instance/log-level.ts";
import { moveRequest } from "../gateway/instance/move.ts";
import { channelRequest, userRequest } from "../gateway/look-shapes.ts";
import { type RestrictionMethod, restrictionRequests } from "../gateway/restrictions/restriction.ts";
import { topRequest } from "../gateway/trace/busy.ts";
import { inSnakeCase, shownWhy } from "../gateway/why.ts";
import { type OutboxMethod, outboxRequests } from "../webhooks/requests.ts";
import { SHAPES } from "./api-shapes.ts";

/** One method of the server API: the shape of its parameters, and what it does. */
export interface Method {
  readonly params: z.ZodType;
  /** Gets what `params` accepted. Returns `result`, for `writeJson`. @throws CommandError */
  run(operations: Operations, params: never): Promise<unknown>;
}

/** Checks the types once, where each method is written, and hides them from the table. */
function method<P extends z.ZodType>(
  params: P,
  run: (operations: Operations, params: z.output<P>) => Promise<unknown>,
): Method {
  return { params, run };
}

const nothing = async (done: Promise<unknown>) => {
  await done;
  return {};
};

/** Every method but `batch`, which is made of these. */
export const METHODS: ReadonlyMap<string, Method> = new Map(
  Object.entries({
    publish: method(SHAPES.publish, (operations, params) =>
      operations.publish(params.channel, bodyOf(params), requestOf(params)),
    ),

    broadcast: method(SHAPES.broadcast, async (operations, params) => ({
      responses: (await operations.broadcast(params.channels, bodyOf(params), requestOf(params))).map(
        (one) => ("error" in one ? { error: errorOf(one.error) } : { result: one }),
      ),
    })),

    subscribe: method(SHAPES.subscribe, (operations, { channel, ...params }) =>
      nothing(
        operations.subscribe(targetOf(params), channel, {
          info: params.b64info || params.info,
          data: params.b64data || params.data,
          expireAt: params.expire_at,
          override: params.override && overrides(params.override),
          since: params.recover_since,
        }),
      ),
    ),

    unsubscribe: method(SHAPES.unsubscribe, (operations, params) =>
      nothing(operations.unsubscribe(targetOf(params), params.channel)),
    ),

    disconnect: method(
      SHAPES.disconnect,
      (operations, { disconnect, Disconnect, whitelist, ClientWhitelist, ...params }) => {
        const spared = whitelist ?? ClientWhitelist ?? [];
        return nothing(
          operations.disconnect(targetOf(params), disconnect ?? Disconnect ?? undefined, spared),
        );
      },
    ),

    refresh: method(SHAPES.refresh, (operations, params) =>
      nothing(
        operations.refresh(targetOf(params), {
          ...(params.expired === undefined ? {} : { expired: params.expired }),
          ...(params.expire_at === undefined ? {} : { expireAt: params.expire_at }),
          ...(params.info === undefined ? {} : { info: params.info }),
        }),
      ),
    ),

    presence: method(SHAPES.presence, async (operations, params) => {
      const { members, partial } = await operations.presence(params.channel);
      return {
        presence: Object.fromEntries(members.map((info) => [info.client, infoOf(info)])),
        ...(partial ? { partial } : {}),
      };
    }),

    presence_stats: method(SHAPES.presence_stats, async (operations, params) => {
      const { clients, users, partial } = await operations.presenceStats(params.channel);
      return { num_clients: clients, num_users: users, ...(partial ? { partial } : {}) };
    }),

    history: method(SHAPES.history, async (operations, { channel, limit, since, reverse }) => {
      const page = await operations.history(channel, { limit, reverse, ...(since ? { since } : {}) });
      return { publications: page.publications.map(publicationOf), ...page.position };
    }),

    history_remove: method(SHAPES.history_remove, (operations, params) =>
      nothing(operations.historyRemove(params.channel)),
    ),

    ...Object.fromEntries(
      Object.entries(restrictionRequests).map(([name, shape]) => [
        name,
        method(shape as z.ZodType, (operations, params) =>
          operations.restrict(name as RestrictionMethod, params),
        ),
      ]),
    ),

    ...Object.fromEntries(
      Object.entries(outboxRequests).map(([name, shape]) => [
        name,
        method(shape as z.ZodType, (operations, params) => operations.outbox(name as OutboxMethod, params)),
      ]),
    ),

    channels: method(SHAPES.channels, async (operations, params) => {
      const { channels, partial } = await operations.channels(params.pattern);
      const entries = [...channels].map(([id, clients]) => [id, { num_clients: clients }]);
      return { channels: Object.fromEntries(entries), ...(partial ? { partial } : {}) };
    }),

    why: method(whyRequest, (operations, params) => operations.why(params).then(shownWhy)),

    move: method(moveRequest, (operations, params) => operations.move(params)),

    log_level: method(logLevelRequest, async (operations, params) => {
      const { levels, partial } = await operations.logLevel(params);
      return { levels: Object.fromEntries(levels), ...(partial ? { partial } : {}) };
    }),

    user: method(userRequest, ({ user: look }, params) => look(params.user).then(inSnakeCase)),

    channel: method(channelRequest, ({ channel: look }, params) => look(params.channel).then(inSnakeCase)),

    top: method(topRequest, (operations, params) => operations.top(params)),

    connections: method(SHAPES.connections, async (operations, params) => {
      const { connections, partial } = await operations.connectionsOf(params.user);
      const entries = connections.map(({ client, device, region, instance, sinceMs }) => [
        client,
        { user: params.user, device, region, instance, since: Math.floor(sinceMs / 1000) },
      ]);
      return { connections: Object.fromEntries(entries), ...(partial ? { partial } : {}) };
    }),

    info: method(SHAPES.info, async (operations) => {
      const { instances, partial } = await operations.info();
      const nodes = instances.map((node) => ({
        uid: node.instance,
        name: node.instance,
        region: node.region,
        version: node.version,
        num_clients: node.connections,
        num_users: node.users,
        num_channels: node.channels,
        uptime: Math.floor(node.uptimeMs / 1000),
      }));
      return { nodes, ...(partial ? { partial } : {}) };
    }),
  }),
);

/** An error as the API shows it. `detail` is for the developer: what was wrong with the request. */
export function errorOf(error: ErrorCode, detail?: string): { code: number; message: string } {
  return { code: error.code, message: detail === undefined ? error.message : `${error.message}: ${detail}` };
}

function targetOf({
  user,
  client,
  session,
}: {
  user: string;
  client?: string | undefined;
  session?: string | undefined;
}): Target {
  return {
    user,
    ...(client === undefined ? {} : { client }),
    ...(session === undefined ? {} : { session }),
  };
}

function bodyOf({ data, b64data }: { data?: string | undefined; b64data?: string | undefined }): Body {
  return b64data === undefined ? (data ?? "null") : Buffer.from(b64data, "base64");
}

function requestOf(params: {
  version?: number | undefined;
  version_epoch?: string | undefined;
  skip_history?: boolean | undefined;
  tags?: Record<string, string> | undefined;
  priority?: Priority | undefined;
  idempotency_key?: string | undefined;
}): PublishRequest {
  return {
    ...(params.idempotency_key === undefined ? {} : { id: params.idempotency_key }),
    ...(params.tags === undefined ? {} : { tags: params.tags }),
    ...(params.priority === undefined ? {} : { priority: params.priority }),
    ...(params.skip_history ? { skipHistory: true } : {}),
    ...(params.version ? { version: { number: params.version, epoch: params.version_epoch ?? "" } } : {}),
  };
}

function infoOf(info: ClientInfo) {
  return {
    client: info.client,
    user: info.user,
    ...(info.connInfo === undefined ? {} : { conn_info: new JsonText(info.connInfo) }),
    ...(info.chanInfo === undefined ? {} : { chan_info: new JsonText(info.chanInfo) }),
  };
}

function publicationOf(publication: Publication) {
  const { data, info, tags, offset } = publication;
  return {
    offset,
    ...(typeof data === "string"
      ? { data: new JsonText(data) }
      : { b64data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64") }),
    ...(info ? { info: infoOf(info) } : {}),
    ...(tags ? { tags } : {}),
  };
}
