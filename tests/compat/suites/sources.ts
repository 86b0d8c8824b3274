import { createHmac } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TEST_API_KEY, type TestInstance } from "../../helpers/instances.ts";
import { TEST_SECRET } from "../../helpers/tokens.ts";
import type { Suite } from "./suite.ts";

/*
 * Copies of the sources whose tests run, outside of the repository: TRUNKLINE_COMPAT_SOURCES names a folder with copies of
 * repositories, `<owner>/<name>` or `<owner>/<name>@<tag>`; what is not there is cloned.
 */

const SOURCES = process.env.TRUNKLINE_COMPAT_SOURCES;
/** Longest that one program may run, ms. */
const STEP_MS = 15 * 60_000;

/** Runs a program in a folder; gives what it wrote to stdout. @throws with the last lines, unless it `mayFail` */
export async function step(
  cwd: string,
  command: readonly string[],
  { env = {}, mayFail = false }: { env?: Readonly<Record<string, string>>; mayFail?: boolean } = {},
): Promise<string> {
  const child = Bun.spawn([...command], {
    cwd,
    env: { ...process.env, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: STEP_MS,
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) === 0) return out;
  const last = `${out}\n${err}`.trim().split("\n").slice(-20).join("\n");
  if (!mayFail) throw new Error(`${command.join(" ")} failed:\n${last}`);
  console.error(last);
  return out;
}

/** A fresh copy of a suite's sources; removed when disposed. */
export async function sourcesOf({ from }: Suite): Promise<{ folder: string } & AsyncDisposable> {
  const base = await mkdtemp(join(tmpdir(), "trunkline-suite-"));
  const folder = join(base, "sources");
  if ("pypi" in from) {
    const [name] = from.pypi.split("==");
    await step(base, ["pip", "download", "-q", "--no-deps", "--no-binary", name!, from.pypi]);
    const [archive] = (await readdir(base)).filter((file) => file.endsWith(".tar.gz"));
    await mkdir(folder);
    await step(base, ["tar", "xzf", archive!, "-C", folder, "--strip-components=1"]);
  } else {
    const { repository, tag } = from;
    const copies = SOURCES ? [`${repository}@${tag}`, repository].map((name) => join(SOURCES, name)) : [];
    const copy = copies.find(existsSync);
    if (copy) await cp(copy, folder, { recursive: true });
    else
      await step(base, [
        ...["git", "clone", "-q", "--depth", "1", "--branch", tag],
        ...[`https://github.com/${repository}.git`, folder],
      ]);
  }
  return { folder, [Symbol.asyncDispose]: () => rm(base, { recursive: true, force: true }) };
}

const JWT = /eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+/g;
/** The secret and the key of the suites' own server: too short for this one. */
const THEIR_SECRET = "secret";
const THEIR_KEY = "test-api-key";

/** A token that the suite signed with its own server's secret, signed with ours; others as they are. */
function signedAnew(token: string): string {
  const [header, claims, signature] = token.split(".");
  const sign = (secret: string) =>
    createHmac("sha256", secret).update(`${header}.${claims}`).digest("base64url");
  return signature === sign(THEIR_SECRET) ? `${header}.${claims}.${sign(TEST_SECRET)}` : token;
}

/**
 * Puts this instance's address, secret and key in place of those of the suite's own server.
 * @param glob files of the copy
 * @param further texts in them, with what replaces each
 */
export async function pointAt(
  instance: TestInstance,
  folder: string,
  glob: string,
  further: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { host } = new URL(instance.url);
  for await (const path of new Bun.Glob(glob).scan({ cwd: folder, absolute: true })) {
    const before = await Bun.file(path).text();
    let text = before.replaceAll("localhost:8000", host).replaceAll(THEIR_KEY, TEST_API_KEY);
    text = text.replaceAll(JWT, signedAnew);
    for (const [from, to] of Object.entries(further)) text = text.replaceAll(from, to);
    if (text !== before) await Bun.write(path, text);
  }
}
