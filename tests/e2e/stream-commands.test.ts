import { describe, expect, test } from "bun:test";
import type { StreamConfig } from "nats";
import { testClient } from "../helpers/clients.ts";
import { trunkline } from "../helpers/command.ts";
import { returns, Stage, told } from "../helpers/positions.ts";
import { natsPrograms } from "../helpers/store.ts";
import { until } from "../helpers/until.ts";

/** What an operator sees and does: `trunkline streams`, `trunkline life new`. */

const TEST_MS = 60_000;

interface Shown {
  readonly stream: string;
  readonly life: string;
  readonly cuts: number;
  readonly aliases: readonly { readonly id: string; readonly fork: number; readonly mark: number }[];
  readonly lastSequence: number;
  readonly tail?: { readonly sequence: number; readonly id?: string };
  readonly full?: number;
  readonly copies: readonly object[];
}

/** What a command prints, with the NATS of a stage. */
async function run(stage: Stage, ...args: string[]) {
  return await trunkline(args, {
    env: { NATS_URL: stage.store.url, TRUNKLINE_CONFIG: await stage.configFile() },
  });
}

async function shown(stage: Stage): Promise<Shown> {
  const { out, err } = await run(stage, "streams", "--json");
  if (!out.startsWith("{")) throw new Error(err);
  const { streams } = JSON.parse(out) as { streams: readonly Shown[] };
  return streams.find(({ stream }) => stream === "RT_chat")!;
}

for (const program of natsPrograms) {
  describe(`nats-server ${program.version}`, () => {
    test(
      "streams shows lives, cuts, tails and copies; life new ends all positions, and says so first",
      async () => {
        await using stage = await Stage.open(program);
        const jsm = await stage.nc.jetstreamManager();
        await stage.publish(1, 5);
        const copy = await stage.keep();
        await stage.publish(6, 8);
        const { epoch } = stage.positions.get(8)!;
        await jsm.streams.add({
          name: "RT_chat_fra",
          mirror: { name: "RT_chat" },
          description: `copy of RT_chat, life ${epoch.slice(2)}`,
        } as Partial<StreamConfig>);
        await until(async () => (await shown(stage)).copies.length === 1, { what: "the copy" });
        const before = await shown(stage);
        expect(before).toMatchObject({ life: epoch.slice(2), cuts: 0, aliases: [], lastSequence: 8 });
        expect(before.tail).toMatchObject({ sequence: 8, id: expect.any(String) });
        expect(before.full).toBeGreaterThan(0);
        expect(before.copies).toMatchObject([{ region: "fra", life: epoch.slice(2), current: true }]);

        // The store goes back, and has no copy then: the cut is seen.
        using client = testClient(stage.first.websocket, { user: "ann" });
        await client.connected();
        const subscription = await client.subscribe("chat:room");
        await stage.goBack(copy, { from: 1_006, to: 1_009 });
        const cut = await until(
          async () => {
            const now = await shown(stage);
            return now.cuts === 1 ? now : undefined;
          },
          { what: "the cut", timeoutMs: 20_000 },
        );
        expect(cut.aliases).toMatchObject([{ id: epoch.slice(2), fork: 5 }]);
        expect((await run(stage, "streams")).out).toMatch(
          /^stream +life +messages[\s\S]*\nRT_chat .*\n {2}before: \w+ up to 5, cut at 9$/m,
        );

        // A new life: who is connected subscribes again and is told, as is everybody who comes back.
        await stage.publish(10, 10);
        const last = stage.positions.get(10)!;
        const refused = await run(stage, "life", "new", "chat");
        expect(refused).toMatchObject({ code: 1, err: expect.stringContaining("--yes") });
        expect(refused.out).toContain("`recovered: false`");
        expect(await returns(stage.first, last)).toEqual(told([]));
        const times = subscription.subscribed.length;
        const done = await run(stage, "life", "new", "chat", "--yes", "--json");
        const { streams: changed } = JSON.parse(done.out) as { streams: { before: string; life: string }[] };
        expect(changed).toMatchObject([{ before: cut.life }]);
        await until(() => subscription.subscribed.length > times, {
          what: "to be cut off",
          timeoutMs: 15_000,
        });
        expect(subscription.subscribed.at(-1)).toMatchObject({
          recovered: false,
          streamPosition: { epoch: `t_${changed[0]!.life}` },
        });
        expect(await returns(stage.first, last)).toEqual(told());
        expect(await returns(stage.first, stage.positions.get(3)!)).toEqual(told());
        // Nothing is lost, and everything goes on.
        await stage.publish(11, 12);
        await until(() => subscription.received.some(({ data }) => data === 12), { what: "what is new" });
        expect(await returns(stage.first, stage.positions.get(11)!)).toEqual(told([12]));
        expect(await shown(stage)).toMatchObject({ life: changed[0]!.life, cuts: 0, lastSequence: 12 });
        expect((await run(stage, "streams")).out).toContain(`before: ${cut.life}, ended by an operator`);
        const audit = await jsm.streams.getMessage("RT_EVENTS", { last_by_subj: "rtevt.audit" });
        expect(audit.json<object>()).toMatchObject({
          action: "renewed",
          target: "RT_chat",
          life: changed[0]!.life,
        });
        // An instance that starts now knows no more of it than the others.
        await stage.restart();
        expect(await returns(stage.first, last)).toEqual(told());
      },
      TEST_MS,
    );
  });
}
