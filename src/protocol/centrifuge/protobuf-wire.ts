import { Reader } from "protobufjs/minimal.js";
import { strictUtf8Decoder } from "../../core/text.ts";

/**
 * Reading Protobuf messages by tables of their fields, strictly: a known field of another wire type and a text that is
 * not UTF-8 are mistakes, as they are to the servers these clients were written for. Unknown fields are passed over.
 *
 * The library's `Reader` does the varints and the bounds. Its own decoders by reflection are not used: they take wrong
 * wire types for unknown fields, and generated ones would be longer than everything here.
 */

/** A message is not what its table says. */
export class FieldError extends Error {}

/** How one kind of field is written (wire type: 0 a varint, 2 a length and bytes), what it is when absent, its value. */
export interface Kind<T> {
  readonly wire: 0 | 2;
  readonly absent: T;
  /** @param before what the field was so far, for those that are repeated */
  read(reader: Reader, before: T): T;
}

type Table = Readonly<Record<string, readonly [field: number, kind: Kind<unknown>]>>;

/** What a message of this table is read as. */
export type Message<T extends Table> = {
  readonly [Name in keyof T]: T[Name] extends readonly [number, Kind<infer Value>] ? Value : never;
};

/** @throws FieldError, and what Reader throws when a message ends too early or a varint does not */
export type MessageReader<T> = (bytes: Uint8Array) => T;

export const text: Kind<string> = {
  wire: 2,
  absent: "",
  read: (reader) => strictUtf8Decoder.decode(reader.bytes()),
};
export const flag: Kind<boolean> = { wire: 0, absent: false, read: (reader) => reader.bool() };
export const int32: Kind<number> = { wire: 0, absent: 0, read: (reader) => reader.int32() };

/** Bytes as a view, `undefined` when absent. */
export const bytes: Kind<Uint8Array | undefined> = {
  wire: 2,
  absent: undefined,
  read: (reader) => reader.bytes(),
};

/** An unsigned integer up to 2^53. */
export const count: Kind<number> = {
  wire: 0,
  absent: 0,
  read(reader) {
    const value = Number(reader.uint64());
    if (!Number.isSafeInteger(value)) throw new FieldError("a number is too big");
    return value;
  },
};

/** A message within a message, `undefined` when absent; of several the last one counts. */
export function nested<T>(read: MessageReader<T>): Kind<T | undefined> {
  return { wire: 2, absent: undefined, read: (reader) => read(reader.bytes()) };
}

/** `map<string, …>`. */
export function map<T>(value: Kind<T>): Kind<ReadonlyMap<string, T>> {
  const entry = message({ key: [1, text], value: [2, value] });
  const absent: ReadonlyMap<string, T> = new Map();
  return {
    wire: 2,
    absent,
    read(reader, before) {
      const { key, value: own } = entry(reader.bytes());
      const entries = before === absent ? new Map<string, T>() : (before as Map<string, T>);
      return entries.set(key, own as T);
    },
  };
}

/** Makes the reader of the messages a table describes. */
export function message<const T extends Table>(table: T): MessageReader<Message<T>> {
  const fields = new Map(Object.entries(table).map(([name, [field, kind]]) => [field, { name, kind }]));
  const absent = Object.fromEntries(Object.entries(table).map(([name, [, kind]]) => [name, kind.absent]));
  return (from) => {
    const values = { ...absent };
    const reader = new Reader(from);
    while (reader.pos < reader.len) {
      const tag = reader.tag();
      const field = fields.get(tag >>> 3);
      if (!field) skip(reader, tag);
      else if ((tag & 7) !== field.kind.wire) throw new FieldError(`wire type of ${field.name}`);
      else values[field.name] = field.kind.read(reader, values[field.name]);
    }
    return values as Message<T>;
  };
}

function skip(reader: Reader, tag: number): void {
  if (tag >>> 3 === 0) throw new FieldError("field 0");
  switch (tag & 7) {
    case 0:
      reader.skip();
      return;
    case 1:
      reader.skip(8);
      return;
    case 2:
      reader.skip(reader.size());
      return;
    case 5:
      reader.skip(4);
      return;
    default: // groups, which proto3 does not have
      throw new FieldError("wire type of an unknown field");
  }
}
