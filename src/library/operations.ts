import { Buffer } from "node:buffer";
import { CommandError, Errors } from "../core/errors.ts";
import { jsonFlaw, oneLine } from "../core/json-check.ts";
import type { Body, ClientInfo, Publication } from "../core/publication.ts";
import type { Operations } from "../gateway/gateway.ts";
import type { AppOperations, Member, Message } from "./types.ts";

const PAGE = 100;

export function appOperations(operations: Operations): AppOperations {
  return {
    async publish(channel, data, { idempotencyKey, ...rest } = {}) {
      const { offset, epoch } = await operations.publish(channel, bodyOf(data), {
        ...rest,
        ...(idempotencyKey !== undefined && { id: idempotencyKey }),
      });
      return { offset, epoch };
    },
    async presence(channel) {
      const { members, partial } = await operations.presence(channel);
      return { members: members.map(memberOf), partial };
    },
    async history(channel, { since, limit = PAGE, reverse } = {}) {
      const page = await operations.history(channel, {
        limit,
        ...(since && { since }),
        ...(reverse !== undefined && { reverse }),
      });
      return { messages: page.publications.map(messageOf), position: page.position };
    },
    subscribe: (user, channel) => operations.subscribe({ user }, channel),
    unsubscribe: (user, channel) => operations.unsubscribe({ user }, channel),
    disconnect: (user, close) => operations.disconnect({ user }, close),
  };
}

/** @throws CommandError badRequest for what is no JSON value */
function bodyOf(data: unknown): Body {
  if (data instanceof Uint8Array) return data;
  const text = JSON.stringify(data);
  const flaw = text === undefined ? "no JSON value" : jsonFlaw(text);
  if (flaw !== undefined) throw new CommandError(Errors.badRequest, `data is ${flaw}`);
  return oneLine(text);
}

function memberOf({ client, user, connInfo, chanInfo }: ClientInfo): Member {
  return {
    client,
    user,
    ...(connInfo !== undefined && { connInfo: JSON.parse(connInfo) as unknown }),
    ...(chanInfo !== undefined && { chanInfo: JSON.parse(chanInfo) as unknown }),
  };
}

function messageOf({ offset, data, tags, info }: Publication): Message {
  return {
    offset,
    data: typeof data === "string" ? (JSON.parse(data) as unknown) : Buffer.from(data),
    ...(tags && { tags }),
    ...(info && { info: memberOf(info) }),
  };
}
