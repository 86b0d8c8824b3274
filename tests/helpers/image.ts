import { existsSync, readFileSync } from "node:fs";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const ROOT = join(import.meta.dir, "../..");

/** What the production image holds, in a directory of its own; removed when disposed. */
export interface Image extends AsyncDisposable {
  readonly root: string;
  /** The program in it: one file. */
  readonly binary: string;
  /** The project's own files in it, from the root. */
  readonly files: readonly string[];
  /** Packages in it, such as "hono" or "@types/node". */
  readonly packages: readonly string[];
}

/**
 * Does by hand what building deploy/Dockerfile does: copies what its COPY lines name, without what .dockerignore leaves
 * out, and the packages that its install leaves: of the lock, no `dev` ones, and none that it removes. These are copied from
 * node_modules, so that no registry is needed. The program is then made of them, in the same way.
 */
export async function buildImage(): Promise<Image> {
  const root = await mkdtemp(join(tmpdir(), "trunkline-image-"));
  const files = imageFiles();
  const packages = productionPackages();
  for (const path of [...files, ...packages.map((name) => `node_modules/${name}`)]) {
    const from = join(ROOT, path);
    // Packages inside a package's own directory stand in the lock by themselves.
    const filter = (file: string) => !file.slice(from.length).includes("/node_modules");
    await cp(from, join(root, path), { recursive: true, filter });
  }
  const binary = join(root, "trunkline");
  const build = Bun.spawn([process.execPath, "deploy/binary.ts", binary], {
    ...{ cwd: root, stdout: "ignore", stderr: "inherit" },
  });
  if ((await build.exited) !== 0) throw new Error("the program of the image cannot be made");
  return {
    ...{ root, binary },
    files,
    packages,
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}

function imageFiles(): string[] {
  const copied = [...dockerfile().matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, sources]) =>
    sources!.split(" "),
  );
  const tracked = ["*", "src/**/*", "deploy/*"].flatMap((all) => [
    ...new Bun.Glob(all).scanSync({ cwd: ROOT, dot: true }),
  ]);
  const ignored = dockerignore();
  return tracked
    .filter((path) => copied.some((source) => path === source || path.startsWith(`${source}/`)))
    .filter((path) => !ignored(path))
    .sort();
}

/** Docker's own rule: the last pattern that matches a path, or a directory above it, decides. */
function dockerignore(): (path: string) => boolean {
  const rules = readFileSync(join(ROOT, ".dockerignore"), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => ({ glob: new Bun.Glob(line.replace(/^!/, "")), out: !line.startsWith("!") }));
  return (path) => {
    const above = [path];
    for (let at = dirname(path); at !== "."; at = dirname(at)) above.push(at);
    return rules.findLast(({ glob }) => above.some((one) => glob.match(one)))?.out ?? false;
  };
}

/** Of no use there: another copy of the runtime, and what belongs to it. */
const RUNTIME = /^(bun$|@oven\/)/;

/** The packages of the lock that `--production` leaves, and nobody removes, as paths below node_modules. */
function productionPackages(): string[] {
  const [, removed] = /^RUN bun install --production && rm -rf (.+)$/m.exec(dockerfile()) ?? [];
  if (removed === undefined)
    throw new Error("deploy/Dockerfile installs packages in another way than this helper does");
  const gone = new Set(removed.split(" "));
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, { dev?: boolean }>;
  };
  return Object.entries(lock.packages)
    .filter(([path, { dev }]) => path !== "" && !dev && !gone.has(path))
    .map(([path]) => path.slice("node_modules/".length))
    .filter((name) => !RUNTIME.test(name) && existsSync(join(ROOT, "node_modules", name)));
}

function dockerfile(): string {
  return readFileSync(join(ROOT, "deploy/Dockerfile"), "utf8");
}
