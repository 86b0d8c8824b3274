import { existsSync } from "node:fs";
import { cp, mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LANGUAGE_SDKS, type Language, type LanguageSdk } from "./languages.ts";

/*
 * Gets each SDK's program ready with the ordinary client of its language: go, pip, maven, cargo, composer, gem. What
 * they fetch and build stays in one folder outside the repository. Where a registry does not give a package out, its
 * public repository may stand in for it: TRUNKLINE_COMPAT_SOURCES names a folder with copies, `<owner>/<name>`.
 */

const HERE = import.meta.dir;
const CACHE = process.env.TRUNKLINE_COMPAT_CACHE ?? join(tmpdir(), "trunkline-compat");
const SOURCES = process.env.TRUNKLINE_COMPAT_SOURCES;
/** Longest that one step of a language's client may take, ms. */
const STEP_MS = 15 * 60_000;

/** How to run an SDK's program, or why it cannot be run here. */
export type Prepared =
  | {
      readonly command: readonly string[];
      readonly env?: Readonly<Record<string, string>>;
      /** It comes from its repository, not from the registry. */
      readonly fromSource?: true;
    }
  | { readonly missing: string };

class Missing extends Error {}

/** Runs a step. @throws {Missing} with the last line it said */
async function step(
  cwd: string,
  command: readonly string[],
  env: Record<string, string> = {},
): Promise<string> {
  if (!Bun.which(command[0]!)) throw new Missing(`there is no ${command[0]} on this machine`);
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
  if ((await child.exited) !== 0) {
    const said = `${out}\n${err}`.trim().split("\n").filter(Boolean);
    console.error(said.slice(-20).join("\n"));
    throw new Missing(`${command.slice(0, 2).join(" ")} failed`);
  }
  return out;
}

/** A fresh copy of a language's folder, so that the repository stays as it is. */
async function copyOf(language: string): Promise<string> {
  const folder = join(CACHE, language);
  await mkdir(CACHE, { recursive: true });
  await cp(join(HERE, language), folder, { recursive: true });
  return folder;
}

/** The copy of an SDK's repository. @throws {Missing} without one */
async function source(sdk: LanguageSdk, why: string): Promise<string> {
  const folder = SOURCES && sdk.repository ? join(SOURCES, sdk.repository) : undefined;
  if (folder && existsSync(folder)) return folder;
  throw new Missing(why);
}

async function go(sdk: LanguageSdk): Promise<Prepared> {
  const folder = join(await copyOf("go"), sdk.program);
  const command = [join(folder, "program")];
  const build = ["go", "build", "-mod=mod", "-o", command[0]!, "."];
  try {
    await step(folder, build);
    return { command };
  } catch (error) {
    if (!(error instanceof Missing) || !Bun.which("go")) throw error;
    const copy = await source(sdk, "the module proxy does not give the module out");
    await step(folder, ["go", "mod", "edit", "-replace", `${sdk.package}=${copy}`]);
    await step(folder, build);
    return { command, fromSource: true };
  }
}

async function python(sdk: LanguageSdk): Promise<Prepared> {
  const folder = await copyOf("python");
  const interpreter = join(folder, "venv/bin/python");
  await step(folder, ["python3", "-m", "venv", "venv"]);
  await step(folder, [interpreter, "-m", "pip", "install", "-q", `${sdk.package}==${sdk.version}`]);
  return { command: [interpreter, join(folder, sdk.program)] };
}

async function java(sdk: LanguageSdk): Promise<Prepared> {
  const folder = await copyOf("java");
  const list = join(folder, "classpath");
  await step(folder, ["mvn", "-q", "-B", "dependency:build-classpath", `-Dmdep.outputFile=${list}`]);
  const classpath = (await Bun.file(list).text()).trim();
  const classes = join(folder, "classes");
  const files = [...new Bun.Glob("src/**/*.java").scanSync(folder)];
  await step(folder, ["javac", "--release", "17", "-cp", classpath, "-d", classes, ...files]);
  return { command: ["java", "-cp", `${classes}:${classpath}`, "compat.Main", sdk.program] };
}

async function rust(sdk: LanguageSdk): Promise<Prepared> {
  const folder = await copyOf("rust");
  await step(folder, ["cargo", "build", "--release", "--bin", sdk.program]);
  return { command: [join(folder, "target/release", sdk.program)] };
}

async function php(sdk: LanguageSdk): Promise<Prepared> {
  const folder = await copyOf("php");
  const program = ["php", join(folder, sdk.program)];
  try {
    await step(folder, ["composer", "install", "--no-interaction", "--quiet"]);
    return { command: [...program, join(folder, "vendor/autoload.php")] };
  } catch (error) {
    if (!(error instanceof Missing) || !Bun.which("php")) throw error;
    const copy = await source(sdk, "Composer's registry cannot be reached");
    return {
      command: [...program, join(folder, "from_source.php")],
      env: { TRUNKLINE_COMPAT_SDK: copy },
      fromSource: true,
    };
  }
}

async function ruby(sdk: LanguageSdk): Promise<Prepared> {
  const folder = await copyOf("ruby");
  const program = join(folder, sdk.program);
  const gems = join(folder, "gems");
  try {
    await step(folder, ["gem", "install", sdk.package, "-v", sdk.version, "-i", gems, "--no-document"]);
    return { command: ["ruby", program], env: { GEM_PATH: gems } };
  } catch (error) {
    if (!(error instanceof Missing) || !Bun.which("ruby")) throw error;
    const copy = await source(sdk, "the registry of gems cannot be reached");
    const signature = join(copy, "../pusher-signature/lib");
    return { command: ["ruby", "-I", join(copy, "lib"), "-I", signature, program], fromSource: true };
  }
}

const LANGUAGES: Readonly<Record<Language, (sdk: LanguageSdk) => Promise<Prepared>>> = {
  JavaScript: async ({ program }) => ({ command: [process.execPath, join(HERE, "javascript", program)] }),
  Go: go,
  Python: python,
  Java: java,
  Rust: rust,
  PHP: php,
  Ruby: ruby,
};

const PREPARED = join(CACHE, "prepared.json");

/** Gets the SDKs' programs ready, and remembers how they are run for {@link preparedSdks}. */
export async function prepare(): Promise<Readonly<Record<string, Prepared>>> {
  const prepared: Record<string, Prepared> = {};
  for (const sdk of LANGUAGE_SDKS) {
    console.error(`getting ${sdk.name} (${sdk.language}) ready`);
    prepared[sdk.name] = await LANGUAGES[sdk.language](sdk).catch((error: unknown) => {
      if (error instanceof Missing) return { missing: error.message };
      throw error;
    });
  }
  await mkdir(CACHE, { recursive: true });
  await Bun.write(PREPARED, JSON.stringify(prepared, null, 1));
  return prepared;
}

/** What {@link prepare} came to, in another process. */
export async function preparedSdks(): Promise<Readonly<Record<string, Prepared>>> {
  return (await Bun.file(PREPARED).json()) as Record<string, Prepared>;
}
