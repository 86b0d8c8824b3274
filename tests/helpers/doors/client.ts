import { Centrifuge as ProtobufClient } from "centrifuge/build/protobuf";
import { rawItems, rawMember } from "../../../src/core/json-text.ts";
import type { Frame } from "../../../src/protocol/codec.ts";
import type { TestCentrifuge } from "../../gateway/clients.ts";
import { eventually } from "../../gateway/time.ts";

type Plain = Readonly<Record<string, unknown>>;
type Path = readonly (string | number)[];

interface OwnCodec {
  encodeCommands(commands: readonly Plain[]): Frame;
  decodeReplies(data: Frame): Plain[];
}
const protobuf = (new ProtobufClient("ws://nowhere") as unknown as { _codec: OwnCodec })._codec;
const utf8 = new TextEncoder();

/** The door refused. */
export class Refused extends Error {}

/** A client of the Centrifuge protocol whose payloads are texts, spliced and taken out as they are. */
export class DoorClient {
  readonly #client: TestCentrifuge;
  readonly #json: boolean;
  #id = 0;

  constructor(client: TestCentrifuge, codec: string) {
    this.#client = client;
    this.#json = codec === "centrifuge-json";
  }

  /** Sends a command whose `data` is this text, and waits for its reply. @returns its result, by paths */
  async ask(
    method: string,
    fields: Plain = {},
    data?: string,
  ): Promise<(...path: Path) => string | undefined> {
    const id = this.say(method, fields, data);
    const found = await this.#first((frame) => Number(at(frame, ["id"])) === id);
    if (at(found, ["error"]) !== undefined) throw new Refused(at(found, ["error", "message"]));
    return (...path) => at(found, [method, ...path]);
  }

  say(method: string, fields: Plain = {}, data?: string): number {
    const id = method === "send" ? 0 : ++this.#id;
    const { socket } = this.#client;
    socket.data.message(socket, this.#frame(id, method, fields, data));
    return id;
  }

  /** The first push with something at this path. */
  async push(...path: Path): Promise<string | undefined> {
    const found = await this.#first((frame) => at(frame, ["push", ...path]) !== undefined);
    return at(found, ["push", ...path]);
  }

  /** The same, of the push that is about one client. */
  async pushOf(kind: string, client: string, ...path: Path): Promise<string | undefined> {
    const found = await this.#first(
      (frame) => at(frame, ["push", kind, "info", "client"])?.includes(client) === true,
    );
    return at(found, ["push", kind, ...path]);
  }

  /** Begins a one-way connection. @param data its own, spliced */
  begin(fields: Plain, data?: string): void {
    const { socket } = this.#client;
    const own = JSON.stringify(fields).slice(1, -1);
    const payload = data === undefined ? "" : `"data":${data}`;
    socket.data.message(socket, `{${[own, payload].filter(Boolean).join()}}`);
  }

  /** What the first JSON frame holds that has it. */
  async raw(pick: (frame: string) => string | undefined): Promise<string> {
    const found = await this.#first((frame) => typeof frame === "string" && pick(frame) !== undefined);
    return pick(found as string)!;
  }

  /** Waits for the reply to a command that came another way. @throws Refused */
  async reply(id: number): Promise<void> {
    const found = await this.#first((frame) => Number(at(frame, ["id"])) === id);
    if (at(found, ["error"]) !== undefined) throw new Refused(at(found, ["error", "message"]));
  }

  #frame(id: number, method: string, fields: Plain, data: string | undefined): Frame {
    if (!this.#json) {
      const bytes = data === undefined ? {} : { data: utf8.encode(data) };
      return protobuf.encodeCommands([{ id, [method]: { ...fields, ...bytes } }]);
    }
    const own = JSON.stringify(fields).slice(1, -1);
    const payload = data === undefined ? "" : `"data":${data.replace(/[\r\n]/g, " ")}`;
    return `{"id":${id},"${method}":{${[own, payload].filter(Boolean).join()}}}`;
  }

  async #first(fits: (reply: string | Plain) => boolean): Promise<string | Plain> {
    return await eventually(() => {
      if (this.#client.socket.closed) throw new Refused(`closed with ${this.#client.socket.closed.code}`);
      return this.#replies().find(fits);
    }, "a reply or push");
  }

  #replies(): readonly (string | Plain)[] {
    const { frames } = this.#client.socket;
    if (!this.#json) return frames.flatMap((frame) => protobuf.decodeReplies(frame));
    return frames.map((frame) =>
      String(frame)
        .trim()
        .replace(/^data: /, ""),
    );
  }
}

/** What stands at a path: of JSON the text itself, of Protobuf the bytes as text. */
function at(reply: string | Plain, path: Path): string | undefined {
  let value: unknown = reply;
  for (const step of path) {
    if (typeof value === "string") {
      value = typeof step === "number" ? rawItems(value)[step] : rawMember(value, step);
    } else value = (value as Plain | undefined)?.[step as string];
    if (value === undefined || value === null) return undefined;
  }
  if (value instanceof Uint8Array)
    return value.length === 0 ? undefined : new TextDecoder("utf-8", { ignoreBOM: true }).decode(value);
  if (typeof value === "object" && value !== null && "toNumber" in value) return String(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
