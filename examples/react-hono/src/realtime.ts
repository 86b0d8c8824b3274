import { Centrifuge, type PublicationContext, type Subscription, UnauthorizedError } from "centrifuge";
import { useEffect, useReducer, useSyncExternalStore } from "react";

/** The page's one client. It lives outside of React: components come and go, and the connection stays. */
export const client = new Centrifuge(`${location.origin.replace(/^http/, "ws")}/connection/websocket`, {
  async getToken() {
    const answer = await fetch("/token");
    if (answer.status === 403) throw new UnauthorizedError("signed out"); // ends it; any other error is tried again
    if (!answer.ok) throw new Error(`no token: ${answer.status}`);
    return answer.text();
  },
});

/** How the connection is: "disconnected", "connecting" or "connected". For a badge. */
export function useConnection(): string {
  return useSyncExternalStore(
    (changed) => {
      client.on("state", changed);
      return () => client.off("state", changed);
    },
    () => client.state,
  );
}

export interface Message<T> {
  readonly offset: number;
  readonly data: T;
  /** Who published it; absent for the backend. */
  readonly user?: string;
}

type Change<T> = { readonly add: readonly Message<T>[] } | { readonly restart: true };

/** Merges by offset: live messages and those of the history may come in either order, and one may come by both ways. */
function merged<T>(messages: readonly Message<T>[], change: Change<T>): readonly Message<T>[] {
  if ("restart" in change) return [];
  const byOffset = new Map([...messages, ...change.add].map((message) => [message.offset, message]));
  return [...byOffset.values()].sort((a, b) => a.offset - b.offset);
}

/** The messages of a channel, oldest first, complete from the first one shown on; and a function that publishes. */
export function useChannel<T>(channel: string) {
  const [messages, change] = useReducer(merged<T>, []);
  useEffect(() => {
    const subscription = hold(channel);
    const read = ({ offset = 0, data, info }: PublicationContext): Message<T> => ({
      ...{ offset, data },
      ...(info && { user: info.user }),
    });
    const live = (publication: PublicationContext) => change({ add: [read(publication)] });
    const load = async () => {
      const { publications } = await subscription.history({ limit: 50, reverse: true });
      change({ add: publications.map(read) });
    };
    const subscribed = ({ wasRecovering, recovered }: { wasRecovering: boolean; recovered: boolean }) => {
      if (wasRecovering && recovered) return; // what was missed has come as publications
      change({ restart: true });
      load().catch(() => undefined); // the link broke again: the next "subscribed" loads
    };
    subscription.on("publication", live);
    subscription.on("subscribed", subscribed);
    if (subscription.state === "subscribed") load().catch(() => undefined);
    return () => {
      subscription.off("publication", live);
      subscription.off("subscribed", subscribed);
      change({ restart: true });
      release(subscription);
    };
  }, [channel]);
  return { messages, publish: (data: T) => client.publish(channel, data) };
}

const holders = new Map<Subscription, number>();

/** A client has one subscription of a channel. Components share it. */
function hold(channel: string): Subscription {
  const subscription = client.getSubscription(channel) ?? client.newSubscription(channel);
  holders.set(subscription, (holders.get(subscription) ?? 0) + 1);
  subscription.subscribe();
  return subscription;
}

/** Ends a subscription that nobody holds, a moment later: strict mode unmounts and mounts again at once. */
function release(subscription: Subscription): void {
  holders.set(subscription, holders.get(subscription)! - 1);
  setTimeout(() => {
    if (holders.get(subscription) !== 0) return;
    holders.delete(subscription);
    client.removeSubscription(subscription); // which unsubscribes
  });
}
