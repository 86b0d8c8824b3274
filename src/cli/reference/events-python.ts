import { type EventMember, eventKinds } from "./event-kinds.ts";

const HEAD = `"""Events of Trunkline, as dataclasses. Needs Python 3.9 and nothing else.

Made by: trunkline config --reference events-python
"""

import json
from dataclasses import MISSING, dataclass, fields
from typing import Any, Optional, Union, get_args, get_origin, get_type_hints
`;

const TAIL = `

class NotAnEvent(ValueError):
    """A text that is no event, or an event that lacks a member or has one of another type."""


def read_event(text: Union[str, bytes, dict]) -> Optional["Event"]:
    """One event: the body of a message of NATS, or an element of the events of a webhook.

    None for a kind that this file does not know: newer gateways may tell more. Members that it does not know are
    passed over. Raises NotAnEvent.
    """
    try:
        value = text if isinstance(text, dict) else json.loads(text)
    except ValueError as error:
        raise NotAnEvent(f"not JSON: {error}") from None
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise NotAnEvent("not an object with a type")
    kind = KINDS.get(value["type"])
    if kind is None:
        return None
    types = get_type_hints(kind)
    for field in fields(kind):
        if field.name not in value:
            if field.default is MISSING:
                raise NotAnEvent(f"{value['type']} has no {field.name}")
        elif not _fits(value[field.name], types[field.name]):
            raise NotAnEvent(f"{value['type']} has a {field.name} of another type")
    return kind(**{field.name: value[field.name] for field in fields(kind) if field.name in value})


def _fits(value: Any, kind: Any) -> bool:
    if kind is Any:
        return True
    if get_origin(kind) is Union:
        return any(_fits(value, one) for one in get_args(kind))
    if kind is float:
        kind = (int, float)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
`;

const TYPES: Readonly<Record<EventMember["type"], string>> = {
  string: "str",
  integer: "int",
  number: "float",
  boolean: "bool",
  any: "Any",
};

/** The events as a module of Python. */
export function eventsPython(): string {
  const kinds = eventKinds();
  const classes = kinds.map(({ kind, typeName, members, description }) => {
    const required = members.filter((member) => member.required);
    const optional = members.filter((member) => !member.required);
    return [
      ...["", "", "@dataclass(frozen=True)", `class ${typeName}:`, `    """${description}"""`, ""],
      ...required.flatMap((member) => line(member, TYPES[member.type])),
      ...optional.flatMap((member) => line(member, `Optional[${TYPES[member.type]}] = None`)),
      ...["    # In webhooks: the same in every repetition. In NATS it is the header Nats-Msg-Id."],
      "    id: Optional[str] = None",
      `    type: str = ${JSON.stringify(kind)}`,
    ].join("\n");
  });
  const names = kinds.map(({ typeName }) => typeName);
  return [
    HEAD + classes.join("\n"),
    "",
    ...["", `Event = Union[\n${names.map((name) => `    ${name},`).join("\n")}\n]`, ""],
    ...["KINDS = {", ...kinds.map(({ kind, typeName }) => `    "${kind}": ${typeName},`), "}"],
    TAIL,
  ]
    .join("\n")
    .trimEnd();
}

function line({ name, description, values }: EventMember, type: string): string[] {
  const one = values ? ` Today one of: ${values.join(", ")}.` : "";
  return [`    # ${description}${one}`, `    ${name}: ${type}`];
}
