import { serviceSignals } from "../../gateway/control.ts";
import { whyRequest } from "../../gateway/findings.ts";
import { moveRequest } from "../../gateway/instance/move.ts";
import { restrictionRequests } from "../../gateway/restrictions/restriction.ts";
import { DESCRIPTIONS } from "../../http/api-results.ts";
import { NOT_SERVED } from "../../http/api-shapes.ts";
import { jsonSchema } from "../../http/json-schema.ts";
import { methodShapes, openApi } from "../../http/openapi.ts";
import { outboxRequests } from "../../webhooks/requests.ts";
import { UserError } from "../output.ts";
import { eventsPage, eventsSchema } from "./events.ts";
import { eventsGo } from "./events-go.ts";
import { eventsPython } from "./events-python.ts";
import { memberList, wrap } from "./members.ts";

const API_HEAD = `# Server API

Made by \`npx bun src/main.ts config --reference api > docs/api.md\` from the shapes by which the server checks its calls. The
same as OpenAPI 3.1: [openapi.json](openapi.json), and \`GET /api/openapi.json\` of every instance. \`npm run compat:openapi\` has
openapi-typescript 7.13.0, oapi-codegen 2.8.2 (Go) and openapi-python-client 0.29.1 make clients of it, compiles and uses them.

Backends call \`POST /api/<method>\` with the parameters as a JSON object, and a key of \`api.keys\` (\`TRUNKLINE_API_KEYS\`) as
\`X-API-Key: <key>\` or \`Authorization: apikey <key>\`. The shape is that of Centrifugo's server API, so its published clients
work ([from Centrifugo](from-centrifugo.md)). Every instance answers for all.

\`\`\`
curl http://localhost:8080/api/publish -H "X-API-Key: $TRUNKLINE_API_KEYS" \\
  -d '{"channel":"chat:room.42","data":{"text":"hi"}}'
{"result":{"epoch":"t_…","offset":65536,"duplicate":false}}
\`\`\`

- **Answers.** \`{"result":…}\`, or \`{"error":{"code":…,"message":…}}\` with status 200. The [codes](protocol.md#errors) are
  those of clients; the message says what is wrong. Other statuses: 400 (no JSON), 401 (key), 413 (longer than
  \`http.maxRequest\`), 429 (too many wrong keys).
- **Text is carried as text.** \`data\` and \`info\` reach clients as they were written: long numbers, \`1.0\`, order of keys.
- **What is not given.** \`null\` stands for it, but for \`data\`; so do an empty text and 0 where they cannot be meant.
- **Unknown members** are passed over. Those that would change what is done are refused with error 108, and \`revoke\`,
  \`block\`, \`unblock\` and \`outbox…\`, which no SDK extends, refuse all. [Every field](fields.md#server-api) is in a table.
- **A stream.** \`GET /api/trace\` shows what happens to a user, channel, connection or instance: [live trace](trace.md).
- **Several calls.** \`POST /api/batch\`, or \`POST /api\` with \`{"method":…,"params":…}\` on each line.
- **\`partial\`** in a result: some may be missing. It is never guessed.
`;

const CONTROL_HEAD = `# Control subjects

Made by \`npx bun src/main.ts config --reference control > docs/control.md\` from the shapes by which gateways check them.

Services control connections over NATS, without HTTP: they need the [role](nats-roles.md) \`control\` (or \`operator\`, which may
look into the outbox, too). A body is a JSON object. \`rt\` is \`nats.root\`.

\`\`\`
nats pub rtctl.disconnect '{"user":"17","code":4500,"reason":"banned"}'
nats req rtctl.block '{"user":"17","reason":"spam"}'
\`\`\`

## Signals

Published once, carried out by every instance for the connections that it holds, at most once. Nobody answers. Unknown kinds
and malformed bodies are logged, once a second, and ignored; unknown members are passed over.
`;

const REQUESTS_HEAD = `## Requests

Asked (\`nats req\`), and answered by one instance for all: with the result that the [server API](api.md) gives, or with the
headers \`Nats-Service-Error-Code\` and \`Nats-Service-Error\`. Unknown members are refused.
`;

const MOVE = `${DESCRIPTIONS.move!.summary} That instance alone answers. From operators.`;

const API_CALL =
  "Any method of the server API, with the answer that it gives over HTTP: an object with `result` or `error`. From operators.";

const OTHERS = `## Between instances

\`alive\`, \`channels\`, \`clear\`, \`emulate\`, \`figures\`, \`info\`, \`inspect\`, \`log_level\`, \`measure\`, \`measured\`,
\`tap\`, \`tapped\` and \`untap\`, and all of \`rtctl.inst.…\`, belong to the
gateways. An operator may ask \`rtctl.info\`, and look at [live traces](trace.md) as an instance would: by \`rtctl.tap\`,
\`rtctl.untap\`, and a subscription to \`rtctl.inst.<own name>.tapped\`.
`;

/** What `trunkline config --reference` can make. */
const REFERENCES = [
  ...["api", "control", "openapi"],
  ...["events", "events-schema", "events-python", "events-go"],
] as const;

/** A page, or the OpenAPI document. @throws UserError: there is no such one */
export function reference(which: string, version: string): string {
  switch (which) {
    case "api":
      return apiPage();
    case "control":
      return controlPage();
    case "openapi":
      return JSON.stringify(openApi(version), null, 2);
    case "events":
      return eventsPage();
    case "events-schema":
      return JSON.stringify(eventsSchema(), null, 2);
    case "events-python":
      return eventsPython();
    case "events-go":
      return eventsGo();
    default:
      throw new UserError(`--reference: ${which} is none of ${REFERENCES.join(", ")}`);
  }
}

function apiPage(): string {
  const methods = [...methodShapes()].map(([name, params]) => {
    const { summary, result } = DESCRIPTIONS[name]!;
    const refused = Object.entries(NOT_SERVED[name] ?? {}).flatMap(([member, why]) =>
      wrap(`- \`${member}\`: refused with error 108, ${why}`),
    );
    const answer = memberList(jsonSchema(result), false);
    return [
      ...[`## ${name}`, "", ...wrap(summary), ""],
      ...block([...memberList(jsonSchema(params), true), ...refused]),
      ...(answer.length > 0 ? ["Result:", "", ...block(answer)] : []),
    ];
  });
  return [API_HEAD, ...methods.flat()].join("\n").trimEnd();
}

function controlPage(): string {
  const signals = Object.entries(serviceSignals).flatMap(([kind, shape]) => {
    const schema = jsonSchema(shape);
    return section(`rtctl.${kind}`, schema.description ?? "", memberList(schema, true));
  });
  const requests = Object.entries({ ...restrictionRequests, ...outboxRequests }).flatMap(([kind, shape]) =>
    section(`rtctl.${kind}`, DESCRIPTIONS[kind]!.summary, memberList(jsonSchema(shape), true)),
  );
  const move = section("rtctl.move", MOVE, memberList(jsonSchema(moveRequest), true));
  const why = section(
    "rtctl.why",
    `${DESCRIPTIONS.why!.summary} From operators.`,
    memberList(jsonSchema(whyRequest), true),
  );
  const api = section("rtctl.api", API_CALL, [
    "- `method` (text, required): Name of a method of the [server API](api.md).",
    "- `params` (object): Its parameters.",
  ]);
  return [CONTROL_HEAD, ...signals, REQUESTS_HEAD, ...requests, ...move, ...why, ...api, OTHERS]
    .join("\n")
    .trimEnd();
}

function section(title: string, summary: string, members: readonly string[]): string[] {
  return [`### ${title}`, "", ...wrap(summary), "", ...block(members)];
}

/** Lines with an empty one behind them, if there are any. */
function block(lines: readonly string[]): string[] {
  return lines.length > 0 ? [...lines, ""] : [];
}
