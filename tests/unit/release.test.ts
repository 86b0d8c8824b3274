import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** `deploy/release.sh` with stand-ins for what needs a network. */

const root = new URL("../..", import.meta.url).pathname;
const DIGEST = `sha256:${"0a".repeat(32)}`;
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "release-"));
  const programs = {
    // What it is called with, in order; the step that FAIL names fails.
    npm: `echo "npm $*" >>"${dir}/calls"; case "$*" in "$FAIL"*) [ -z "$FAIL" ] || exit 1;; esac; [ "$1" != sbom ] || echo "{}"`,
    git: `printf %s "$CHANGED"`,
    docker: `echo "docker $*" >>"${dir}/calls"; for last; do :; done; case "$last" in "$AWAY") echo "not found"; exit 0;; esac; echo ${DIGEST}`,
  };
  for (const [name, body] of Object.entries(programs)) {
    await Bun.write(join(dir, "bin", name), `#!/bin/sh\n${body}\n`);
    await chmod(join(dir, "bin", name), 0o755);
  }
});
afterAll(() => rm(dir, { recursive: true }));

/** Files that name images of others. */
const PINNED = [
  ...["deploy/Dockerfile", "deploy/nats/Dockerfile", "deploy/compose.yaml", "deploy/fly-autoscaler/fly.toml"],
] as const;

const imagesOf = (text: string) => text.split("\n").filter((line) => /^(FROM|\s*image(:| =)) /.test(line));

async function release(out: string, { FAIL = "", AWAY = "-", CHANGED = "", OWN_IMAGE = "" } = {}) {
  await Bun.write(join(dir, "calls"), "");
  const child = Bun.spawn([join(root, "deploy/release.sh"), join(dir, out)], {
    env: { PATH: `${join(dir, "bin")}:${process.env.PATH}`, FAIL, AWAY, CHANGED, OWN_IMAGE },
    ...{ stdout: "pipe", stderr: "pipe" },
  });
  const code = await child.exited;
  return { code, calls: (await Bun.file(join(dir, "calls")).text()).trim().split("\n") };
}

test("a release checks signatures and known holes, writes a bill of materials, and pins every image", async () => {
  const { code, calls } = await release("good");
  expect(code).toBe(0);
  expect(calls.slice(0, 4)).toEqual([
    "npm ci",
    "npm audit signatures",
    "npm audit --omit=dev --audit-level=high",
    "npm sbom --sbom-format cyclonedx --omit=dev",
  ]);
  const made = calls.filter((call) => /^npm (pack|run)/.test(call)).map((call) => call.replaceAll(dir, ""));
  expect(made).toEqual([
    "npm pack --pack-destination /good",
    "npm run binary -- /good/trunkline-linux-x64 --target linux-x64",
    "npm run binary -- /good/trunkline-linux-arm64 --target linux-arm64",
  ]);
  const changes = await Bun.file(join(dir, "good/CHANGES.md")).text();
  expect(changes.match(/^## \[/gm)).toHaveLength(1);
  for (const file of PINNED) {
    const [before, after] = await Promise.all(
      [join(root, file), join(dir, "good", file)].map((path) => Bun.file(path).text()),
    );
    expect(after!.replaceAll(`@${DIGEST}`, "")).toBe(before!);
    expect(imagesOf(after!).length).toBeGreaterThan(0);
    for (const line of imagesOf(after!)) expect(line).toContain(`@${DIGEST}`);
  }
  // Of ours nobody has said which it is.
  expect(await Bun.file(join(dir, "good/deploy/k8s/base/trunkline.yaml")).exists()).toBe(false);
  const sums = await Bun.file(join(dir, "good/SHA256SUMS")).text();
  expect(sums).toContain("./sbom.cdx.json");
  expect(sums).not.toContain("SHA256SUMS");
});

test("every file that names an image is pinned: no other is in the repository", async () => {
  const found: string[] = [];
  const files = ["deploy/**/*", "*.toml"].map((glob) => Array.from(new Bun.Glob(glob).scanSync(root)));
  for (const file of files.flat()) {
    if (/\.(md|sh|ts)$/.test(file)) continue;
    if (imagesOf(await Bun.file(join(root, file)).text()).length > 0) found.push(file);
  }
  expect(found.sort()).toEqual([...PINNED, "deploy/k8s/base/trunkline.yaml"].sort());
});

test("the image that was pushed stands in the files for Kubernetes, pinned", async () => {
  const own = "registry.example/trunkline:1.2.3";
  expect((await release("own", { OWN_IMAGE: own })).code).toBe(0);
  const text = await Bun.file(join(dir, "own/deploy/k8s/base/trunkline.yaml")).text();
  expect(imagesOf(text).map((line) => line.trim())).toEqual([`image: ${own}@${DIGEST}`]);
  // What stands on it, too.
  const overlay = "deploy/k8s/overlays/single/kustomization.yaml";
  expect(await Bun.file(join(dir, "own", overlay)).text()).toBe(await Bun.file(join(root, overlay)).text());
});

test("it ends where a signature is wrong, a hole is known, or an image is not there", async () => {
  expect((await release("d", { CHANGED: " M src/main.ts" })).code).not.toBe(0);
  expect((await release("a", { FAIL: "audit signatures" })).code).not.toBe(0);
  expect((await release("b", { FAIL: "audit --omit" })).code).not.toBe(0);
  expect((await release("c", { AWAY: "oven/bun:1.4.5-slim" })).code).not.toBe(0);
});
