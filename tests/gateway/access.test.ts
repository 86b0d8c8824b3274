import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Permission } from "../../src/auth/auth.ts";
import { Errors } from "../../src/core/errors.ts";
import type { Access, NamespaceRules } from "../../src/core/namespace.ts";
import type { Plain } from "../helpers/stock-codec.ts";
import { token } from "./auth.ts";
import { startGateway, type TestGateway } from "./fixture.ts";

/** Every right: the rule that governs it, and a command that needs it. A new right without a row does not compile. */
const RIGHTS: Readonly<
  Record<Permission, { readonly rule: keyof NamespaceRules; readonly command: (channel: string) => Plain }>
> = {
  sub: { rule: "subscribe", command: (channel) => ({ subscribe: { channel } }) },
  pub: { rule: "publish", command: (channel) => ({ publish: { channel, data: {} } }) },
  prs: { rule: "presenceAccess", command: (channel) => ({ presence: { channel } }) },
  hst: { rule: "historyAccess", command: (channel) => ({ history: { channel, limit: 1 } }) },
};
const ALL = Object.keys(RIGHTS) as Permission[];

/** Those who ask. `tokened` brings a token for the channel, which only a subscribe can. */
type Who =
  | "anonymous"
  | "user"
  | "subscriber"
  | "capable"
  | "capableElsewhere"
  | "otherwiseCapable"
  | "tokened";

/** Who is let in by each rule. A new rule without a row does not compile. */
const LET_IN: Readonly<Record<Access, Readonly<Record<Who, boolean>>>> = {
  nobody: row(),
  token: row("capable", "tokened"),
  subscriber: row("subscriber", "capable", "tokened"),
  authenticated: row("user", "subscriber", "capable", "capableElsewhere", "otherwiseCapable", "tokened"),
  anyone: row(
    ...([
      "anonymous",
      "user",
      "subscriber",
      "capable",
      "capableElsewhere",
      "otherwiseCapable",
      "tokened",
    ] as const),
  ),
};

/** What a signature is needed for by Pusher clients, others need a token or to be subscribed for. */
const LET_IN_SIGNED: Readonly<Record<Access, Access>> = {
  nobody: "nobody",
  token: "token",
  subscriber: "subscriber",
  authenticated: "subscriber",
  anyone: "subscriber",
};

function row(...allowed: Who[]): Record<Who, boolean> {
  const has = (who: Who) => allowed.includes(who);
  return {
    anonymous: has("anonymous"),
    user: has("user"),
    subscriber: has("subscriber"),
    capable: has("capable"),
    capableElsewhere: has("capableElsewhere"),
    otherwiseCapable: has("otherwiseCapable"),
    tokened: has("tokened"),
  };
}

const RULES = Object.keys(LET_IN) as Access[];
const EVERYBODY = Object.keys(LET_IN.anyone) as Who[];

interface Case {
  readonly right: Permission;
  readonly access: Access;
  readonly who: Who;
}

const CASES: readonly Case[] = ALL.flatMap((right) =>
  RULES.flatMap((access) =>
    EVERYBODY.filter((who) => {
      // Who is subscribed is past the first right, which is why no namespace can ask for it, or brings a token to it.
      if (right === "sub") return access !== "subscriber" && who !== "subscriber";
      return who !== "tokened";
    }).map((who) => ({ right, access, who })),
  ),
);

const kept = { size: 10, ageMs: 60_000, recoverLimit: 10, replicas: 1 };

/** One namespace for each right and rule, open in every other way. */
const namespaces = Object.fromEntries(
  ALL.flatMap((right) =>
    RULES.map((access) => [
      `${right}-${access}`,
      {
        ...{ history: kept, presence: true, subscribe: "anyone", publish: "anyone" },
        ...{ presenceAccess: "anyone", historyAccess: "anyone", [RIGHTS[right].rule]: access },
      } as Partial<NamespaceRules>,
    ]),
  ),
);

/** Whether a client that is `who` may do what needs a right in a channel. */
async function allowed(gateway: TestGateway, { right, who }: Case, channel: string): Promise<boolean> {
  const user = who === "anonymous" ? "" : "ann";
  const caps = {
    capable: [{ channels: [channel], match: "exact", allow: [right] }],
    capableElsewhere: [{ channels: [`${channel}.other`], match: "exact", allow: ALL }],
    otherwiseCapable: [
      {
        channels: [channel],
        match: "exact",
        allow: ALL.filter((other) => other !== right && other !== "sub"),
      },
    ],
  }[who as string];
  const claims = who === "subscriber" ? { subscriptions: [{ channel }] } : caps === undefined ? {} : { caps };
  const client = await gateway.connect(user, claims);
  const command = RIGHTS[right].command(channel);
  const answer =
    who === "tokened"
      ? await client.subscribe(channel, { token: token({ user, channel }) })
      : await client.ask(command);
  if (answer.error !== undefined) expect(answer.error).toBe(Errors.permissionDenied.code);
  return answer.error === undefined;
}

const name = ({ right, access, who }: Case) => `${right} × ${access} × ${who}`;

describe("every right by every rule", () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startGateway({ namespaces });
  });
  afterAll(() => gateway[Symbol.asyncDispose]());

  for (const one of CASES) {
    const expected = LET_IN[one.access][one.who];
    test(`${name(one)}: ${expected}`, async () => {
      expect(await allowed(gateway, one, `${one.right}-${one.access}:x`)).toBe(expected);
    });
  }
});

describe("every right by every rule, insecure", () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startGateway({ namespaces, options: { insecure: true } });
  });
  afterAll(() => gateway[Symbol.asyncDispose]());

  for (const one of CASES) {
    const expected = one.right !== "sub" || one.access !== "nobody";
    test(`${name(one)}: ${expected}`, async () => {
      expect(await allowed(gateway, one, `${one.right}-${one.access}:x`)).toBe(expected);
    });
  }
});

describe("what Pusher clients need a signature for", () => {
  for (const access of RULES) {
    for (const right of ALL) {
      if (right === "sub" && access === "subscriber") continue;
      test(`${right} × ${access}`, async () => {
        const shop = namespaces[`${right}-${access}`]!;
        await using gateway = await startGateway({ namespaces: { shop } });
        for (const who of EVERYBODY) {
          if (!CASES.some((one) => one.right === right && one.who === who)) continue;
          const one = { right, access, who };
          const asIf = right === "sub" && access !== "nobody" ? "token" : LET_IN_SIGNED[access];
          for (const kind of ["private", "presence", "private-encrypted"]) {
            const found = await allowed(gateway, one, `shop:${kind}-${who}`);
            expect(`${who} in ${kind}: ${found}`).toBe(`${who} in ${kind}: ${LET_IN[asIf][who]}`);
          }
          expect(await allowed(gateway, one, `shop:public-${who}`)).toBe(LET_IN[access][who]);
        }
      });
    }
  }
});

describe("an inbox", () => {
  const all = {
    subscribe: "anyone",
    publish: "anyone",
    presenceAccess: "anyone",
    historyAccess: "anyone",
  } as const;
  const caps = [{ channels: ["*"], match: "wildcard", allow: ALL }];

  for (const insecure of [false, true]) {
    for (const right of ALL) {
      test(`is nobody else's, whatever stands anywhere: ${right}, insecure ${insecure}`, async () => {
        await using gateway = await startGateway({
          namespaces: { user: { ...all, presence: true } },
          options: { insecure },
        });
        const command = RIGHTS[right].command("user:ann");
        const ann = await gateway.connect("ann");
        if (right !== "sub") expect((await ann.ask(command)).error).toBeUndefined();
        else expect(await ann.ask(command)).toEqual({ error: Errors.alreadySubscribed.code });
        for (const other of [await gateway.connect("bob", { caps }), await gateway.connect()]) {
          expect(await other.ask(command)).toEqual({ error: Errors.permissionDenied.code });
        }
      });
    }
  }

  test("takes no subscription token, its own user's neither", async () => {
    await using gateway = await startGateway({ namespaces: { user: all } });
    const bob = await gateway.connect("bob");
    const answer = await bob.subscribe("user:ann", { token: token({ user: "bob", channel: "user:ann" }) });
    expect(answer).toEqual({ error: Errors.permissionDenied.code });
  });
});
