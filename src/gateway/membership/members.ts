import { CommandError, Errors } from "../../core/errors.ts";
import type { ClientInfo } from "../../core/publication.ts";
import type { GatewayContext } from "../context.ts";

/**
 * Members of a channel that is not too big to list. @throws CommandError notAvailable for a big one, of which only the
 * counts are told
 */
export async function listMembers(
  context: GatewayContext,
  channel: string,
): Promise<{ members: readonly ClientInfo[]; partial: boolean }> {
  const limit = context.hub.rules(context.hub.resolve(channel)).presenceMaxMembers;
  // One more than is told: asking for the count first would take twice as long when presence does not answer.
  const answer = await context.presence.members(channel, limit + 1);
  if (answer.members.length > limit) {
    throw new CommandError(Errors.notAvailable, "too many members to list, ask for the counts");
  }
  return answer;
}
