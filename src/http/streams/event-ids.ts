import type { Position } from "../../core/position.ts";

/** A live publication as the one-way JSON codec writes it. */
const PUBLICATION = /^\{"channel":("(?:[^"\\]|\\.)*"),"pub":\{"offset":(\d+),/;

/** Another frame that says something of positions: the connect answer, and what the server does about subscriptions. */
const OTHER = /^\{(?:"connect":|"channel":"(?:[^"\\]|\\.)*","(?:un)?subscribe":)/;

/** Longest id, characters: it comes back in a header, of which servers and proxies take 8 KiB at least. */
const MAX_ID = 6_144;

interface Sub {
  readonly epoch?: string;
  readonly offset?: number;
  readonly publications?: readonly { readonly offset?: number }[];
}

/**
 * The ids of one connection's events: each says how far the client is in all its channels once it has the event. An
 * `EventSource` sends the last one it saw when it comes back, so that one resumes which knows of nothing.
 *
 * An id is `<channel>=<epoch>:<offset>` for each channel with positions, joined by `&`, names percent-encoded.
 */
export class EventIds {
  /** By channel: what stands in the id before the offset, and the offset. */
  readonly #positions = new Map<string, { readonly prefix: string; offset: number }>();

  /**
   * Takes note of a frame that is sent, and returns the id of its event: `undefined` when it changes nothing.
   * @throws RangeError when the channels' names make the id longer than may come back
   */
  next(frame: string): string | undefined {
    const [, name, offset] = PUBLICATION.exec(frame) ?? [];
    if (name !== undefined) {
      const position = this.#positions.get(JSON.parse(name) as string);
      if (!position) return undefined;
      position.offset = Number(offset);
    } else if (!this.#noteOther(frame)) return undefined;
    const id = Array.from(this.#positions.values(), ({ prefix, offset: at }) => prefix + at).join("&");
    if (id.length > MAX_ID) throw new RangeError("too many channels for an event id");
    return id;
  }

  #noteOther(frame: string): boolean {
    if (!OTHER.test(frame)) return false;
    const { connect, channel, subscribe, unsubscribe } = JSON.parse(frame) as {
      connect?: { subs?: Record<string, Sub> };
      channel?: string;
      subscribe?: Sub;
      unsubscribe?: object;
    };
    if (connect) for (const [name, sub] of Object.entries(connect.subs ?? {})) this.#set(name, sub);
    else if (channel === undefined) return false;
    else if (subscribe) this.#set(channel, subscribe);
    else if (unsubscribe) return this.#positions.delete(channel);
    else return false;
    return true;
  }

  #set(channel: string, { epoch, offset = 0, publications = [] }: Sub): void {
    if (epoch === undefined) return;
    const newest = Math.max(offset, publications.at(-1)?.offset ?? 0);
    const prefix = `${encodeURIComponent(channel)}=${encodeURIComponent(epoch)}:`;
    this.#positions.set(channel, { prefix, offset: newest });
  }
}

/** Reads an id that has come back; what is none says nothing. */
export function readEventId(id: string | null): ReadonlyMap<string, Position> {
  const positions = new Map<string, Position>();
  for (const part of id?.split("&") ?? []) {
    const [, channel, epoch, offset] = /^([^=]+)=([^:]*):(\d{1,16})$/.exec(part) ?? [];
    if (channel === undefined || epoch === undefined) continue;
    try {
      const position = { epoch: decodeURIComponent(epoch), offset: Number(offset) };
      if (Number.isSafeInteger(position.offset)) positions.set(decodeURIComponent(channel), position);
    } catch {
      // Not ours: somebody made it up.
    }
  }
  return positions;
}
