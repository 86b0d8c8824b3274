import { surplus } from "../console/admin/shares.js";
import { askInstance } from "./ask.ts";
import { columns, print, UserError } from "./output.ts";
import { parseInteger } from "./parse-integer.ts";

type Flags = Readonly<Record<string, string | true | undefined>>;

const text = (flags: Flags, name: string) => {
  const value = flags[name];
  return typeof value === "string" ? value : undefined;
};

interface Move {
  readonly connections: number;
  readonly seconds: number;
}

/** `trunkline move`: an instance lets a part of its connections go, at a pace; they come back elsewhere. @throws UserError */
export async function move(flags: Flags): Promise<void> {
  const instance = text(flags, "from");
  if (!instance) throw new UserError("--from: which instance? `trunkline rebalance --dry-run` lists them");
  const params = {
    ...{ instance, user: text(flags, "user"), address: text(flags, "address") },
    ...shareOf(text(flags, "share")),
    ...paceOf(text(flags, "rate")),
  };
  const begun = await ask<Move>(flags, "move", params);
  print(flags.json ? JSON.stringify(begun) : sentence(instance, begun));
}

interface Instance {
  readonly uid: string;
  readonly region: string;
  readonly num_clients: number;
}

/**
 * `trunkline rebalance`: in each region the instances with more than their share let go of what is too much. The balancer must
 * choose the instance with the fewest connections. @throws UserError
 */
export async function rebalance(flags: Flags): Promise<void> {
  const tolerance = percent("--tolerance", text(flags, "tolerance") ?? "10%");
  const { nodes, partial } = await ask<{ nodes: Instance[]; partial?: boolean }>(flags, "info", {});
  if (partial && !flags.dryRun) {
    throw new UserError(
      "not every instance answers: the shares are not known (--dry-run shows those that do)",
    );
  }
  const only = text(flags, "region");
  const among = nodes.filter(({ region }) => only === undefined || region === only);
  const plan = surplus(
    among.map(({ uid: instance, region, num_clients: connections }) => ({ instance, region, connections })),
    tolerance,
  );
  if (flags.dryRun) return print(flags.json ? JSON.stringify(plan) : table(plan));
  const begun: object[] = [];
  for (const { instance, connections, tooMany } of plan) {
    if (tooMany === 0) continue;
    const params = { instance, share: tooMany / connections, ...paceOf(text(flags, "rate")) };
    const moving = await ask<Move>(flags, "move", params);
    begun.push({ instance, ...moving });
    if (!flags.json) print(sentence(instance, moving));
  }
  if (flags.json) print(JSON.stringify(begun));
  else if (begun.length === 0) print("balanced: no instance has more than its share");
}

function table(plan: ReturnType<typeof surplus>): string {
  if (plan.length === 0) return "no instance answers";
  return columns(
    plan.map(({ region, instance, connections, tooMany }) => [
      region,
      instance,
      `${connections} connections`,
      tooMany > 0 ? `${tooMany} too many` : "",
    ]),
  );
}

function sentence(instance: string, { connections, seconds }: Move): string {
  return `${instance} lets ${connections} connections go, within ${seconds} s`;
}

function shareOf(share: string | undefined): { share?: number } {
  return share === undefined ? {} : { share: percent("--share", share) };
}

function paceOf(rate: string | undefined): { per_second?: number } {
  return rate === undefined ? {} : { per_second: parseInteger("--rate", rate, 10_000) };
}

function percent(flag: string, value: string): number {
  const [, number] = /^(\d+(?:\.\d+)?)%$/.exec(value) ?? [];
  const share = Number(number) / 100;
  if (share > 0 && share <= 1) return share;
  throw new UserError(`${flag}: ${value} is not a share such as 50%`);
}

async function ask<T>(flags: Flags, method: string, params: object): Promise<T> {
  return JSON.parse(await askInstance(text(flags, "url"), method, params)) as T;
}
