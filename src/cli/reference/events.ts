import type { JsonSchema } from "../../http/json-schema.ts";
import { eventKinds } from "./event-kinds.ts";
import { memberList, wrap } from "./members.ts";

const HEAD = `# Events

Made by \`npx bun src/main.ts config --reference events > docs/events.md\` from the shapes that stand in \`src/events/shapes.ts\`,
from which also the code that makes events has its types.

Gateways tell what happens: to services in NATS on \`rtevt.<kind>\`, which stream \`RT_EVENTS\` stores, and to HTTP endpoints as
[webhooks](webhooks.md). Each event is a JSON object, delivered at least once. In NATS its id is \`Nats-Msg-Id\`; in webhooks it
is the member \`id\`. A repetition has the same id.

All but \`rejected\` begin with \`type\` (the kind), \`timeMs\` (when it happened, Unix ms), and \`instance\` and \`region\`, which name
the instance that tells the event. A \`disconnect\` names the instance of the client. Then comes what stands below.

A new version may add members, kinds and values: pass over what you do not know.

## Types for services

| for        | file                                                     | what it is                                  |
| ---------- | -------------------------------------------------------- | ------------------------------------------- |
| any        | [events.schema.json](events.schema.json)                 | JSON Schema 2020-12; webhooks under \`$defs\` |
| TypeScript | \`import type { TrunklineEvent } from "trunkline/events"\` | a union by \`type\`                           |
| Bun, Deno  | \`import { readEvent } from "trunkline/events"\`           | checks a text, gives the event              |
| Python     | [trunkline_events.py](events/trunkline_events.py)        | dataclasses, \`read_event\`; from 3.9         |
| Go         | [trunklineevents.go](events/trunklineevents.go)          | structs, \`Read\`                             |

They are in the package, below \`docs/\`. Copy the file for Python or Go into your service, or make it:
\`npx trunkline config --reference events-python\` (or \`events-go\`, \`events-schema\`).

\`\`\`python
from trunkline_events import MessageEvent, read_event

event = read_event(message.data)  # None: of a kind that this file does not know
if isinstance(event, MessageEvent):
    print(event.user, event.data)
\`\`\`

## Reading them from NATS

Read events with a durable consumer of your own, one for each service. An operator makes it, and the service reads with the
[role](nats-roles.md) of the consumer's name:

\`\`\`
nats --user operator --inbox-prefix rtinbox.operator consumer add RT_EVENTS billing --pull --filter 'rtevt.>' --ack explicit --defaults
nats --user billing --inbox-prefix rtinbox.billing consumer next RT_EVENTS billing
\`\`\`

In Python, name the stream: \`js.pull_subscribe("rtevt.>", durable="billing", stream="RT_EVENTS")\`.
`;

/** Members that stand above all kinds. */
const TOLD: ReadonlySet<string> = new Set(["type", "timeMs", "instance", "region"]);

/** The page: what events there are, and how to read them. */
export function eventsPage(): string {
  const kinds = eventKinds().flatMap(({ kind, description, schema }) => {
    const own = Object.entries(schema.properties ?? {}).filter(
      ([name]) => kind === "rejected" || !TOLD.has(name),
    );
    const properties = Object.fromEntries(own);
    return [
      ...[`## ${kind}`, "", ...wrap(description), ""],
      ...[...memberList({ ...schema, properties }, true), ""],
    ];
  });
  return [HEAD, ...kinds].join("\n").trimEnd();
}

/** Every event as JSON Schema, and the body of a webhook's request. */
export function eventsSchema(): object {
  const kinds = eventKinds();
  const told = kinds.filter(({ kind }) => kind !== "rejected");
  const ref = (name: string) => ({ $ref: `#/$defs/${name}` });
  const id: JsonSchema = { type: "string", description: "The same in every repetition." };
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Events of Trunkline",
    description: "One event, as stream RT_EVENTS stores it. New versions may add members and kinds.",
    oneOf: kinds.map(({ typeName }) => ref(typeName)),
    $defs: {
      ...Object.fromEntries(kinds.map(({ typeName, schema }) => [typeName, schema])),
      WebhookRequest: {
        description: "The body of a webhook's request.",
        type: "object",
        properties: {
          events: {
            type: "array",
            minItems: 1,
            items: {
              allOf: [
                { type: "object", properties: { id }, required: ["id"] },
                { oneOf: told.map(({ typeName }) => ref(typeName)) },
              ],
            },
          },
        },
        required: ["events"],
      },
    },
  };
}
