import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startInstance, TEST_API_KEY } from "../helpers/instances.ts";

/*
 * `npm run compat:openapi`: stock generators make clients of docs/openapi.json, stock compilers take them, and each client
 * publishes to a running instance and reads the message back. One whose language is not on this machine is named, and
 * counts for nothing. Generators come from their registries.
 */

const ROOT = join(import.meta.dir, "../..");

interface Generator {
  readonly name: string;
  /** Program without which the language is not here. */
  readonly needs: string;
  readonly file: readonly [name: string, text: string];
  /** Run in a folder that has the document and the file. */
  readonly steps: readonly string[];
}

const TYPESCRIPT = `
import createClient from "openapi-fetch";
import type { components, paths } from "./client";
const [, , baseUrl = "", key = ""] = process.argv;
const client = createClient<paths>({ baseUrl, headers: { "X-API-Key": key } });
const asked: components["schemas"]["PublishRequest"] = { channel: "chat:ts", data: { n: 1 }, priority: "high" };
const published = await client.POST("/api/publish", { body: asked });
const offset: number | undefined = published.data?.result?.offset;
const read = await client.POST("/api/history", { body: { channel: "chat:ts", limit: 1 } });
if (offset === undefined || read.data?.result?.publications[0]?.offset !== offset) throw new Error("not kept");
const refused = await client.POST("/api/publish", { body: { channel: "nowhere:x", data: 1 } });
console.log(refused.data?.error?.code);
// @ts-expect-error: a channel is text
await client.POST("/api/publish", { body: { channel: 7 } });
`;

const GO = `package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"app/client"
)

func main() {
	key := client.WithRequestEditorFn(func(_ context.Context, request *http.Request) error {
		request.Header.Set("X-API-Key", os.Args[2])
		return nil
	})
	api, err := client.NewClientWithResponses(os.Args[1], key)
	if err != nil {
		panic(err)
	}
	ctx, high := context.Background(), client.PublishRequestPriorityHigh
	published, err := api.PublishWithResponse(ctx, client.PublishRequest{Channel: "chat:go", Data: map[string]int{"n": 1}, Priority: &high})
	if err != nil {
		panic(err)
	}
	limit := 1
	read, err := api.HistoryWithResponse(ctx, client.HistoryRequest{Channel: "chat:go", Limit: &limit})
	if err != nil || read.JSON200.Result.Publications[0].Offset != published.JSON200.Result.Offset {
		panic("not kept")
	}
	refused, err := api.PublishWithResponse(ctx, client.PublishRequest{Channel: "nowhere:x", Data: 1})
	if err != nil {
		panic(err)
	}
	fmt.Println(refused.JSON200.Error.Code)
}
`;

const PYTHON = `
import sys
from trunkline_server_api_client import AuthenticatedClient
from trunkline_server_api_client.api.default import history, publish
from trunkline_server_api_client.models import HistoryRequest, PublishRequest, PublishRequestPriority

client = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2], prefix="apikey")
high = PublishRequestPriority.PUBLISH_REQUEST_PRIORITY_HIGH
asked = PublishRequest(channel="chat:py", data={"n": 1}, priority=high)
published = publish.sync(client=client, body=asked)
read = history.sync(client=client, body=HistoryRequest(channel="chat:py", limit=1))
assert read.result.publications[0].offset == published.result.offset
refused = publish.sync(client=client, body=PublishRequest(channel="nowhere:x", data=1))
print(refused.error.code)
`;

const GENERATORS: readonly Generator[] = [
  {
    ...{
      name: "openapi-typescript 7.13.0 with openapi-fetch 0.17.0",
      needs: "npm",
      file: ["use.ts", TYPESCRIPT],
    },
    steps: [
      "npm init -y",
      "npm install --no-save openapi-typescript@7.13.0 openapi-fetch@0.17.0 typescript@5.9.3 @types/node@24",
      "npx openapi-typescript openapi.json -o client.d.ts",
      "npx tsc --noEmit --strict --skipLibCheck --target esnext --module preserve --types node use.ts",
      `${process.execPath} use.ts URL KEY`,
    ],
  },
  {
    ...{ name: "oapi-codegen 2.8.2", needs: "go", file: ["main.go", GO] },
    steps: [
      "mkdir client",
      "go mod init app",
      "go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -package client -generate types,client -o client/client.go openapi.json",
      "go mod tidy",
      "go vet ./...",
      "go run . URL KEY",
    ],
  },
  {
    ...{ name: "openapi-python-client 0.29.1", needs: "python3", file: ["use.py", PYTHON] },
    steps: [
      "python3 -m venv env",
      "env/bin/pip install --quiet openapi-python-client==0.29.1 mypy httpx attrs python-dateutil ruff",
      "env/bin/openapi-python-client generate --path openapi.json --meta none --output-path trunkline_server_api_client",
      // What the generator itself writes into client.py does not pass.
      "env/bin/mypy --follow-imports=silent trunkline_server_api_client/models trunkline_server_api_client/api",
      "env/bin/python use.py URL KEY",
    ],
  },
];

/** Code of an unknown channel: what each client must print of its refused publish. */
const REFUSED = "102";

async function run(command: string, cwd: string): Promise<string> {
  const env = { ...process.env, PATH: `${join(cwd, "env/bin")}:${process.env.PATH}` };
  const child = Bun.spawn(command.split(" "), { cwd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) !== 0)
    throw new Error(`${command.slice(0, 80)}\n${out.slice(-2_000)}${err.slice(-2_000)}`);
  return out;
}

const dir = await mkdtemp(join(tmpdir(), "openapi-"));
await using instance = await startInstance({
  config: { namespaces: { chat: { history: { size: 10, age: "1m" } } } },
  command: "dev",
});
let failed = 0;
for (const { name, needs, file, steps } of GENERATORS) {
  if (!Bun.which(needs)) {
    console.log(`${name}: skipped: there is no ${needs} on this machine`);
    continue;
  }
  const folder = join(dir, needs);
  await mkdir(folder);
  await copyFile(join(ROOT, "docs/openapi.json"), join(folder, "openapi.json"));
  await Bun.write(join(folder, file[0]), file[1]);
  try {
    let out = "";
    for (const step of steps)
      out = await run(step.replace("URL KEY", `${instance.url} ${TEST_API_KEY}`), folder);
    if (out.trim() !== REFUSED) throw new Error(`it printed ${out}`);
    console.log(`${name}: ok`);
  } catch (error) {
    failed++;
    console.log(`${name}: FAILED: ${String(error)}`);
  }
}
await rm(dir, { recursive: true, force: true });
process.exitCode = failed === 0 ? 0 : 1;
