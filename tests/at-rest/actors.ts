import type { TestCentrifuge, TestPusher } from "../gateway/clients.ts";
import type { TestGateway } from "../gateway/fixture.ts";
import type { Plain } from "../helpers/stock-codec.ts";

/** Unsubscribe codes from here on make a stock client subscribe again. */
const SUBSCRIBES_AGAIN = 2_500;

/** A client of the Centrifuge protocol that behaves as stock ones do. */
export class Actor {
  readonly user: string;
  readonly gateway: TestGateway;
  readonly client: TestCentrifuge;
  /** What was asked, by the id of the command. */
  readonly #asked = new Map<number, { method: "subscribe" | "unsubscribe"; channel: string }>();
  #read = 0;

  constructor(gateway: TestGateway, user: string, client: TestCentrifuge) {
    this.gateway = gateway;
    this.user = user;
    this.client = client;
    client.socket.heard = () => this.#react();
  }

  get gone(): boolean {
    return this.client.socket.closed !== undefined;
  }

  /** Its id; `undefined` while it is not let in. */
  get id(): string | undefined {
    for (const { connect } of this.client.messages) if (connect) return (connect as Plain).client as string;
    return undefined;
  }

  say(...commands: readonly { method: "subscribe" | "unsubscribe"; channel: string; more?: Plain }[]): void {
    if (this.gone) return;
    const ids = this.client.say(
      ...commands.map(({ method, channel, more }) => ({ [method]: { channel, ...more } })),
    );
    for (const [at, id] of ids.entries()) this.#asked.set(id, commands[at]!);
  }

  /** Channels it is subscribed to, as far as it was told. */
  get subscriptions(): ReadonlySet<string> {
    const found = new Set<string>();
    for (const message of this.client.messages) {
      const asked = this.#asked.get(message.id as number);
      if (asked && !message.error) {
        if (asked.method === "subscribe") found.add(asked.channel);
        else found.delete(asked.channel);
      }
      const push = message.push as Plain | undefined;
      if (push?.subscribe) found.add(push.channel as string);
      if (push?.unsubscribe) found.delete(push.channel as string);
    }
    return found;
  }

  /** The last word on each client it was told of in a channel. */
  lastWords(channel: string): ReadonlyMap<string, "join" | "leave"> {
    const found = new Map<string, "join" | "leave">();
    for (const { push } of this.client.messages) {
      const of = push as Record<string, { info: Plain } | undefined> & { channel?: string };
      if (of?.channel !== channel) continue;
      for (const kind of ["join", "leave"] as const) {
        if (of[kind]) found.set(of[kind].info.client as string, kind);
      }
    }
    return found;
  }

  #react(): void {
    const { messages } = this.client;
    for (; this.#read < messages.length; this.#read++) {
      const message = messages[this.#read]!;
      if (Object.keys(message).length === 0 && !this.gone) this.client.say({});
      const push = message.push as { channel: string; unsubscribe?: { code: number } } | undefined;
      if ((push?.unsubscribe?.code ?? 0) >= SUBSCRIBES_AGAIN) {
        this.say({ method: "subscribe", channel: push!.channel, more: { join_leave: true } });
      }
    }
  }
}

/** A client of the Pusher protocol. */
export interface PusherActor {
  readonly user: string;
  /** Whether its last wish was to be in the room: leaving has no answer. */
  wants: boolean;
  readonly client: TestPusher;
}

/** Who is in a presence channel, as far as a Pusher client was told; `undefined`: it is not in it. */
export function usersToldTo(
  { client, wants }: PusherActor,
  channel: string,
): ReadonlySet<string> | undefined {
  let found: Set<string> | undefined;
  for (const { event, data, channel: at } of client.messages) {
    if (at !== channel) continue;
    if (event === "pusher_internal:subscription_succeeded") {
      found = new Set((data as { presence: { ids: string[] } }).presence.ids);
    } else if (event === "pusher:subscription_error") found = undefined;
    else if (event === "pusher_internal:member_added") found?.add((data as { user_id: string }).user_id);
    else if (event === "pusher_internal:member_removed") found?.delete((data as { user_id: string }).user_id);
  }
  return wants ? found : undefined;
}
