import { secretCheck } from "../secret.ts";

/**
 * What an operator may do beside looking: `act` on users, channels and webhooks; read `payloads`, which are messages and
 * what tokens say of people.
 */
const RIGHTS = ["look", "act", "payloads"] as const;
export type Right = (typeof RIGHTS)[number];

/** Somebody who has signed in. */
export interface Operator {
  readonly name: string;
  readonly rights: readonly Right[];
}

/** Who may use the console. */
export interface ConsoleAccess {
  /** `name:right+right:secret`, as the settings have them. */
  readonly tokens: readonly string[];
  /** Everybody who reaches the port may do everything: for development, where foreign hosts are refused. */
  readonly open?: boolean;
}

/** Makes the test whose token this is; in a time that tells nothing about them. */
export function operatorCheck(
  tokens: readonly string[],
): (secret: string | undefined) => Operator | undefined {
  const known = tokens.map(readToken);
  return (secret) => {
    let found: Operator | undefined;
    // All are compared, found or not.
    for (const { operator, is } of known) if (is(secret)) found = operator;
    return found;
  };
}

function readToken(token: string): { operator: Operator; is: (offered: string | undefined) => boolean } {
  const [name = "", rights = "", ...secret] = token.split(":");
  const given = rights.split("+");
  // Whoever may do more may look.
  const own = RIGHTS.filter((right) => right === "look" || given.includes(right));
  return { operator: { name, rights: own }, is: secretCheck([secret.join(":")]) };
}
