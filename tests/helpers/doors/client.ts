import { Centrifuge as ProtobufClient } from "centrifuge/build/protobuf";
import { applyDelta } from "fossil-delta";
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
const utf8Text = new TextDecoder("utf-8", { ignoreBOM: true });

/** The door refused. */
export class Refused extends Error {}

/** A publication as its subscriber reads it. */
export interface Heard {
  readonly text: string;
  /** It came as the difference to the one before. */
  readonly delta: boolean;
}

/** A client of the Centrifuge protocol whose payloads are texts, spliced and taken out as they are. */
export class DoorClient {
  readonly #client: TestCentrifuge;
  readonly #json: boolean;
  readonly #send: (frame: Frame) => void;
  #id = 0;

  /** @param send how its frames reach the gateway; default: directly */
  constructor(client: TestCentrifuge, codec: string, send?: (frame: Frame) => void) {
    this.#client = client;
    const { socket } = client;
    this.#send = send ?? ((frame) => socket.data.message(socket, frame));
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
    this.#send(this.#frame(id, method, fields, data));
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
    const own = JSON.stringify(fields).slice(1, -1);
    const payload = data === undefined ? "" : `"data":${data}`;
    this.#send(`{${[own, payload].filter(Boolean).join()}}`);
  }

  /** Waits for the first frame with something at a path, and returns that. */
  async value(...path: Path): Promise<string> {
    return at(await this.#first((frame) => at(frame, path) !== undefined), path)!;
  }

  /** Waits for the first publication that is not this one. @param delta the subscription takes differences */
  async heard(other: string | undefined, delta: boolean): Promise<Heard> {
    return await eventually(() => {
      if (this.#client.socket.closed) throw new Refused(`closed with ${this.#client.socket.closed.code}`);
      return this.#publications(delta).find(({ text }) => text !== other);
    }, "a publication");
  }

  #publications(delta: boolean): Heard[] {
    let before: Uint8Array = new Uint8Array();
    return this.#replies().flatMap((reply) => {
      const pub = (path: Path) => at(reply, ["push", "pub", ...path]) ?? at(reply, ["pub", ...path]);
      const data = typeof reply === "string" || !delta ? pub(["data"]) : bytesAt(reply);
      if (data === undefined) return [];
      const isDelta = pub(["delta"]) === "true";
      // A subscription with differences gets each JSON text as a string.
      const said = typeof data === "string" ? utf8.encode(delta ? (JSON.parse(data) as string) : data) : data;
      before = isDelta ? Uint8Array.from(applyDelta(before, said)) : said;
      return [{ text: utf8Text.decode(before), delta: isDelta }];
    });
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
    return frames.flatMap((frame) =>
      String(frame)
        .split("\n")
        .map((line) => line.replace(/^data: /, "").trim())
        .filter((line) => line.startsWith("{")),
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
  if (value instanceof Uint8Array) return value.length === 0 ? undefined : utf8Text.decode(value);
  if (typeof value === "object" && value !== null && "toNumber" in value) return String(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** The data of a Protobuf publication. */
function bytesAt(reply: Plain): Uint8Array | undefined {
  const push = reply.push as { pub?: { data?: Uint8Array } } | undefined;
  return push?.pub?.data;
}
