import { type EventMember, eventKinds } from "./event-kinds.ts";

const HEAD = `// Package trunklineevents has the events of Trunkline as structs. It needs the standard library alone.
//
// Made by: trunkline config --reference events-go
package trunklineevents

import (
	"encoding/json"
	"fmt"
)

// Head is what every event has. Instance and Region of a rejected event are empty with the embedded broker.
type Head struct {
	// ID is the same in every repetition. In webhooks alone: in NATS it is the header Nats-Msg-Id.
	ID string \`json:"id,omitempty"\`
	// Type is its kind.
	Type string \`json:"type"\`
	// TimeMs is when it happened, Unix ms.
	TimeMs int64 \`json:"timeMs"\`
	// Instance is the name of the instance that tells it; of a disconnect, that of the client.
	Instance string \`json:"instance,omitempty"\`
	// Region is the region of that instance.
	Region string \`json:"region,omitempty"\`
}
`;

const READ = `
// Event is a pointer to one of the structs above.
type Event interface{ head() *Head }

func (h *Head) head() *Head { return h }

// HeadOf gives what every event has.
func HeadOf(event Event) Head { return *event.head() }

// Read reads one event: the body of a message of NATS, or an element of the events of a webhook. It gives nil, and no
// error, for a kind that this file does not know: newer gateways may tell more. Members that it does not know are passed
// over.
func Read(text []byte) (Event, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, fmt.Errorf("no event: %w", err)
	}
	var kind string
	if err := json.Unmarshal(members["type"], &kind); err != nil {
		return nil, fmt.Errorf("no event: its type: %w", err)
	}
	event, required := empty(kind)
	if event == nil {
		return nil, nil
	}
	for _, name := range required {
		if _, ok := members[name]; !ok {
			return nil, fmt.Errorf("an event %s has no %s", kind, name)
		}
	}
	if err := json.Unmarshal(text, event); err != nil {
		return nil, fmt.Errorf("an event %s: %w", kind, err)
	}
	return event, nil
}
`;

const TYPES: Readonly<Record<EventMember["type"], string>> = {
  string: "string",
  integer: "int64",
  number: "float64",
  boolean: "bool",
  any: "json.RawMessage",
};

const IN_HEAD: ReadonlySet<string> = new Set(["timeMs", "instance", "region"]);

/** The events as a package of Go, as gofmt has it. */
export function eventsGo(): string {
  const kinds = eventKinds();
  const structs = kinds.map(({ typeName, description, members }) =>
    [
      `// ${typeName}: ${description}`,
      `type ${typeName} struct {`,
      "\tHead",
      ...members.filter(({ name }) => !IN_HEAD.has(name)).flatMap(fieldOf),
      "}",
      "",
    ].join("\n"),
  );
  const cases = kinds.flatMap(({ kind, typeName, members }) => {
    const required = members.filter((member) => member.required).map(({ name }) => JSON.stringify(name));
    return [`\tcase "${kind}":`, `\t\treturn &${typeName}{}, []string{${required.join(", ")}}`];
  });
  return [
    HEAD,
    ...structs,
    READ.trim(),
    "",
    "// empty gives an event of a kind, and the members that it must have.",
    "func empty(kind string) (Event, []string) {",
    ...["\tswitch kind {", ...cases, "\t}", "\treturn nil, nil", "}"],
  ].join("\n");
}

/** Optional numbers and truth values are pointers: 0 and false say something else than nothing. */
function fieldOf({ name, type, required, description, values }: EventMember): string[] {
  const one = values ? ` Today one of: ${values.join(", ")}.` : "";
  const field = `${name[0]!.toUpperCase()}${name.slice(1)}`;
  const pointer = !required && type !== "string" && type !== "any" ? "*" : "";
  const tag = required ? name : `${name},omitempty`;
  return [`\t// ${description}${one}`, `\t${field} ${pointer}${TYPES[type]} \`json:"${tag}"\``];
}
