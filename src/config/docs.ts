import { BUILT_IN, namespaceSettings } from "./namespaces.ts";
import { isLive, isLiveRule } from "./reload.ts";
import { made, type Setting, shown } from "./setting.ts";
import { CONFIG_VARIABLE, GROUPS, settings, variablesOf } from "./table.ts";
import type { Table } from "./tree.ts";

/** docs/config.md. */
export function configMarkdown(): string {
  const groups = Object.entries(GROUPS).map(([group, title]) => {
    const rows = Object.entries<Setting>(settings).filter(([key]) => groupOf(key) === group);
    return `### ${title}\n\n${list(Object.fromEntries(rows), true, isLive)}`;
  });
  return `${INTRODUCTION}\n${groups.join("\n")}\n${NAMESPACES}\n${list(namespaceSettings, false, isLiveRule)}\n${builtIn()}`;
}

function groupOf(key: string): string {
  if (key.includes(".")) return key.slice(0, key.indexOf("."));
  return Object.hasOwn(GROUPS, key) ? key : "";
}

/**
 * One item for each setting: its name and variable, what it is, its default, the values it takes, whether a reload takes it
 * over.
 */
function list(rows: Table, variables: boolean, live: (key: string) => boolean): string {
  const items = Object.entries(rows).map(([key, setting]) => {
    const names = variablesOf(key, setting).map((name) => `\`${name}\``);
    const variable = variables ? ` (${names.join(", else ") || "file only"})` : "";
    const facts = `Default: ${defaultOf(setting)}. Takes: ${setting.what}.${live(key) ? " Reloads." : ""}`;
    return [...wrapped(`- \`${key}\`${variable}: ${setting.doc}`), ...wrapped(`  ${facts}`)].join("\n");
  });
  return `${items.join("\n")}\n`;
}

/** Text in lines of at most 120 characters; the lines after the first are indented as part of a list item. */
function wrapped(text: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/(?<=\S) /)) {
    if (line !== "" && line.length + 1 + word.length > 120) {
      lines.push(line);
      line = `  ${word}`;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

function defaultOf(setting: Setting): string {
  const { fallback, fallbackText, dev, insecure } = setting;
  const parts = [fallbackText ?? code(setting, fallback)];
  if (dev !== undefined) parts.push(`with \`dev\`: ${code(setting, made(dev))}`);
  if (insecure !== undefined) parts.push(`when insecure: ${code(setting, insecure)}`);
  return parts.join("; ");
}

function code(setting: Setting, value: unknown): string {
  const text = shown(setting, value);
  if (text === null || (Array.isArray(text) && text.length === 0)) return "none";
  return `\`${typeof text === "string" ? text : JSON.stringify(text)}\``;
}

function builtIn(): string {
  return `Built in:\n\n\`\`\`json\n${JSON.stringify({ namespaces: BUILT_IN }, null, 2)}\n\`\`\`\n`;
}

const INTRODUCTION = `# Configuration

<!-- Generated: npx bun src/main.ts config --docs > docs/config.md -->

You can set everything in a JSON file, and nearly everything in the environment. \`${CONFIG_VARIABLE}\` or \`--config\`
names the file. A command-line flag overrides the environment, the environment overrides the file, and the file
overrides the default.

- An empty environment variable counts as not set.
- A secret may stand in a file of its own: \`TRUNKLINE_TOKEN_SECRET_FILE=/run/secrets/token\` for
  \`TRUNKLINE_TOKEN_SECRET\`, and so for every variable of a secret. A changed file is in effect within some seconds, if
  the setting reloads.
- In a variable, a list is written with commas. \`true\`, \`false\`, \`1\` and \`0\` are yes and no.
- A duration is written as \`250ms\`, \`30s\`, \`10m\`, \`24h\`, \`7d\`, \`1h30m\`, or as a number of milliseconds.
- A size is written as \`512B\`, \`64KiB\`, \`1MiB\`, \`2GiB\`, or as a number of bytes.

\`trunkline config\` prints the values in effect and where each one came from. It leaves secrets out. An instance does
not start with unknown keys in the file, unknown variables that begin with \`TRUNKLINE_\`, values that are not allowed,
or settings that contradict each other. The error names all of them at once.

Settings that say "Reloads" can be changed [without a restart](reload.md): SIGHUP, or \`POST /admin/reload\`.

Editors check and complete the file if it names the schema. \`trunkline config --schema\` prints the same schema.

\`\`\`json
{
  "$schema": "./node_modules/trunkline/docs/trunkline.schema.json",
  "region": "fra",
  "limits": { "channels": 256 },
  "namespaces": {
    "orders": { "history": { "size": 1000, "age": "24h" }, "recovery": "stream", "publish": "nobody" }
  }
}
\`\`\`

\`trunkline serve\` is secure by default. It does not start until it can check clients' tokens, or until a setting lets
clients in without one (\`auth.anonymous\`, \`auth.connectCallout\`, \`insecure\`). It refuses web pages of other hosts
until \`http.allowedOrigins\` names them.

## Settings
`;

const NAMESPACES = `## Namespaces

A channel is named \`namespace:name\`. A name without a colon belongs to the namespace \`default\`. The file holds the
rules of a namespace under \`namespaces.<name>\`. The name of a namespace has up to 64 of A-Z, a-z, 0-9,
\`_\`, \`.\` and \`-\`, and does not begin with a dot or \`-\`.

Two signs in a channel's name close it to people, in every namespace:

- \`$chat:room\` (\`$room\` in \`default\`) is private. It takes a subscription token or a capability.
- \`chat:room#42,43\` is for users 42 and 43. Others need a subscription token or a capability.

What the namespace's rules let anybody do in a channel that is closed to them takes a subscription.

- If \`history\` is absent or \`null\`, the namespace keeps no messages and delivers each one at most once.
- Rules in the file change a built-in namespace key by key. \`"chat": null\` removes it. \`default\` and \`user\` always
  exist.
- \`user:<id>\` is the inbox of each user. Users are subscribed to their own inbox when they connect.

These values say who may do something:

- \`nobody\`: no client;
- \`token\`: clients with a subscription token or a capability that names the channel;
- \`subscriber\`: clients that are subscribed to the channel;
- \`authenticated\`: every user with an identity;
- \`anyone\`: anonymous clients too.

A capability or a subscription token always suffices, except against \`nobody\`.

`;
