import type { Session } from "./session.ts";

/** What limits of a user count a connection under: the user, or the address of somebody anonymous. */
export function quotaKey({ user, handshake }: Pick<Session, "user" | "handshake">): string {
  return user === "" ? `address ${handshake.admissionKey}` : `user ${user}`;
}
