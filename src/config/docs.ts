import { BUILT_IN, namespaceSettings } from "./namespaces.ts";
import { type Setting, shown } from "./setting.ts";
import { CONFIG_VARIABLE, GROUPS, settings, variablesOf } from "./table.ts";
import type { Table } from "./tree.ts";

/** docs/config.md. */
export function configMarkdown(): string {
  const groups = Object.entries(GROUPS).map(([group, title]) => {
    const rows = Object.entries<Setting>(settings).filter(([key]) => groupOf(key) === group);
    return `### ${title}\n\n${table(Object.fromEntries(rows), true)}`;
  });
  return `${INTRODUCTION}\n${groups.join("\n")}\n${NAMESPACES}\n${table(namespaceSettings, false)}\n${builtIn()}`;
}

function groupOf(key: string): string {
  if (key.includes(".")) return key.slice(0, key.indexOf("."));
  return Object.hasOwn(GROUPS, key) ? key : "";
}

function table(rows: Table, variables: boolean): string {
  const head = ["key", ...(variables ? ["variable"] : []), "default", "allowed", "what it is"];
  const lines = Object.entries(rows).map(([key, setting]) => {
    const names = variablesOf(key, setting).map((name) => `\`${name}\``);
    const variable = variables ? [names.join(", else ") || "file only"] : [];
    return [`\`${key}\``, ...variable, defaultOf(setting), setting.what, setting.doc];
  });
  return [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

function defaultOf(setting: Setting): string {
  const { fallback, fallbackText, dev, insecure } = setting;
  const parts = [fallbackText ?? code(setting, fallback)];
  if (dev !== undefined) parts.push(`with \`dev\`: ${code(setting, dev)}`);
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

Every setting can stand in a JSON file, named by \`${CONFIG_VARIABLE}\` or \`--config\`, and nearly every one in the
environment. A flag of the command line beats the environment, the environment beats the file, the file beats the
default. An environment variable that is empty is not set; a list is written with commas there; \`true\`, \`false\`,
\`1\` and \`0\` are yes and no. Durations are written \`250ms\`, \`30s\`, \`10m\`, \`24h\`, \`7d\`, \`1h30m\` or as a number
of ms; sizes \`512B\`, \`64KiB\`, \`1MiB\`, \`2GiB\` or as a number of bytes.

\`trunkline config\` prints what is in effect and where each value came from, with secrets left out. Unknown keys in the
file, unknown variables that begin with \`TRUNKLINE_\`, values that are not allowed and settings that contradict each
other stop the start, all named at once.

Editors check and complete the file when it names the schema, which \`trunkline config --schema\` prints too:

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

\`trunkline serve\` is secure by default: it does not start before it knows how to check clients' tokens, or was told to
let clients in without any (\`auth.anonymous\`, \`auth.connectCallout\`, \`insecure\`). Web pages of other hosts are refused
until \`http.allowedOrigins\` names them.

## Settings
`;

const NAMESPACES = `## Namespaces

A channel is named \`namespace:name\`; a name without a colon belongs to \`default\`. The rules of a namespace stand in the
file under \`namespaces.<name>\`; a name is up to 32 of a-z, 0-9 and -, a letter first. \`history\` absent or \`null\` means
that nothing is kept and messages are delivered at most once. What the file says of a built-in namespace changes it key
by key, and \`"chat": null\` takes it away (\`default\` and \`user\` always exist). \`user:<id>\` is the inbox of each user,
subscribed for them when they connect.

Who may do something: \`nobody\`; \`token\`, with a subscription token or a capability that names the channel;
\`subscriber\`, whoever is subscribed; \`authenticated\`, every user with an identity; \`anyone\`, anonymous clients too. A
capability or a subscription token always suffices, but for \`nobody\`.
`;
