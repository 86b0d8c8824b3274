import type { ChannelName } from "../../core/channel.ts";
import { CommandError, Errors } from "../../core/errors.ts";
import type { NamespaceRules } from "../../core/namespace.ts";
import type { ClientInfo } from "../../core/publication.ts";
import { SharedAnswers } from "../../core/shared-answers.ts";
import type { Stats } from "../../core/stats.ts";
import type { Presence } from "../../presence/presence.ts";
import type { Frame } from "../../protocol/codec.ts";

/** Names of channels that were too big to list are remembered: so many of them. */
const BIG_REMEMBERED = 1_000;

type Encoder = (members: readonly ClientInfo[]) => Frame;

/** The members of a channel, encoded at most once for each way to write them. */
export class MemberList {
  readonly members: readonly ClientInfo[];
  /** Only this instance's own are known. */
  readonly partial: boolean;
  readonly #encoded = new Map<Encoder, Frame>();

  constructor(members: readonly ClientInfo[], partial: boolean) {
    this.members = members;
    this.partial = partial;
  }

  encoded(encode: Encoder): Frame {
    const known = this.#encoded.get(encode);
    if (known !== undefined) return known;
    const frame = encode(this.members);
    this.#encoded.set(encode, frame);
    return frame;
  }
}

interface ListsDeps {
  readonly presence: Pick<Presence, "members" | "stats">;
  rules(name: ChannelName): Pick<NamespaceRules, "presenceMaxMembers">;
  readonly stats: Stats;
}

/** Lists of members: one read of a channel at a time, shared by all who ask for it. */
export class MemberLists {
  readonly #deps: ListsDeps;
  readonly #shared = new SharedAnswers<MemberList>();
  /** Channels that were too big at the last look, the longest remembered first. */
  readonly #big = new Set<string>();

  constructor(deps: ListsDeps) {
    this.#deps = deps;
  }

  /**
   * Members of a channel that is not too big to list, as they are from now on. @throws CommandError notAvailable for a big
   * one, of which only the counts are told
   */
  list(name: ChannelName): Promise<MemberList> {
    return this.#shared.ask(name.id, () => this.#read(name));
  }

  async #read(name: ChannelName): Promise<MemberList> {
    const { presence, stats } = this.#deps;
    const { id } = name;
    const limit = this.#deps.rules(name).presenceMaxMembers;
    // Of others the count comes with the list: asking for it first would take twice as long.
    if (this.#big.has(id) && (await presence.stats(id)).clients > limit) throw this.#tooBig(id);
    stats.memberListReads++;
    const { members, partial } = await presence.members(id, limit + 1);
    if (members.length > limit) throw this.#tooBig(id);
    this.#big.delete(id);
    return new MemberList(members, partial);
  }

  #tooBig(id: string): CommandError {
    this.#big.delete(id);
    this.#big.add(id);
    for (const oldest of this.#big) {
      if (this.#big.size <= BIG_REMEMBERED) break;
      this.#big.delete(oldest);
    }
    return new CommandError(Errors.notAvailable, "too many members to list, ask for the counts");
  }
}
