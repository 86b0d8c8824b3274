import { describe, expect, test } from "bun:test";
import { limitConflicts, loadConfig } from "../../src/config.ts";

function conflicts(file: object): string[] {
  const result = loadConfig({ env: {}, file: JSON.stringify(file) });
  if (result.problems) throw new Error(result.problems.join("\n"));
  return [...limitConflicts(result.config)];
}

const KEYS = /^(\S+): /;
const named = (file: object) => conflicts(file).map((text) => KEYS.exec(text)?.[1]);

describe("limits that exclude each other", () => {
  test("none are among the defaults, of serve and of dev", () => {
    expect(conflicts({})).toEqual([]);
    const dev = loadConfig({ env: {}, profile: "dev" });
    if (dev.problems) throw new Error(dev.problems.join("\n"));
    expect([...limitConflicts(dev.config)]).toEqual([]);
  });

  test.each([
    [
      "120 channels with tokens of 773 bytes, in one frame; and bodies as long as that frame",
      { frame: "64KiB", channels: 120 },
      ["limits.frame", "rpc.body", "namespaces.chat.maxMessage", "namespaces.live.maxMessage"],
    ],
    ["more channels than commands", { channels: 128, commandsPerSecond: 64 }, ["limits.commandsPerSecond"]],
    ["as many commands as channels and a connect", { channels: 127, commandsPerSecond: 64 }, []],
    ["no limit of commands", { channels: 128, commandsPerSecond: 0 }, []],
    [
      "more channels than pending commands",
      { channels: 128, pendingCommands: 100 },
      ["limits.pendingCommands"],
    ],
    [
      "more channels than bytes",
      { channels: 128, bytesPerSecond: "90KiB", frame: "180KiB" },
      ["limits.frame", "limits.bytesPerSecond"],
    ],
    [
      "a thousand channels, the rest as they come",
      { channels: 1_000 },
      ["limits.commandsPerSecond", "limits.pendingCommands", "limits.frame", "limits.bytesPerSecond"],
    ],
  ])("%s", (_, limits, keys) => {
    expect(named({ limits })).toEqual(keys);
  });

  test("apps whose namespace lacks what their channels need, or whose clients may say more than they may", () => {
    const key = { key: "key", secret: "a-secret-of-20-bytes" };
    const app = (namespace: string, limits = {}) => ({ apps: [{ id: "1", keys: [key], namespace, limits }] });
    expect(conflicts(app("live"))).toEqual([
      "apps.1: its cache channels hold nothing: set namespaces.live.history",
      "apps.1: its presence channels are refused: set namespaces.live.presence",
    ]);
    expect(conflicts(app("chat"))).toEqual([]);
    expect(named(app("chat", { channels: 2_000 }))).toEqual(["limits.bytesPerSecond"]);
  });

  test("bodies that fit what carries them, and those that do not", () => {
    const backpressure = { limits: { backpressure: "16MiB" } };
    expect(named({ rpc: { body: "256KiB" } })).toEqual(["rpc.body"]);
    expect(named({ rpc: { body: "255KiB" } })).toEqual([]);
    const chat = (own: object) => ({ ...backpressure, namespaces: { chat: own } });
    expect(named(chat({ maxMessage: "1MiB" }))).toEqual(["namespaces.chat.maxMessage"]);
    expect(named(chat({ maxMessage: "1MiB", publish: "nobody" }))).toEqual([]);
    expect(named({ ...chat({ publish: "nobody" }), http: { maxRequest: "64KiB" } })).toEqual([
      "namespaces.default.maxMessage",
      "namespaces.chat.maxMessage",
      "namespaces.live.maxMessage",
      "namespaces.user.maxMessage",
    ]);
  });
});
