import type { Finding, Verdict } from "../../src/cli/doctor/report.ts";
import { trunkline } from "./command.ts";
import type { RuntimeName } from "./instances.ts";
import { TEST_SECRET } from "./tokens.ts";

/** What `trunkline doctor --json` came to. */
export interface Report {
  readonly code: number;
  readonly verdict: Verdict;
  readonly counts: Readonly<Record<Verdict, number>>;
  readonly checks: readonly Finding[];
  /** Everything printed, on either stream. */
  readonly output: string;
  /** The one finding of a check. */
  one(check: string): Finding;
}

export interface DoctorRun {
  readonly env?: Readonly<Record<string, string>>;
  readonly runtime?: RuntimeName;
  /** Flags beside `--json`. */
  readonly flags?: readonly string[];
  /** Content of a configuration file. */
  readonly config?: object;
}

/** Runs `trunkline doctor --json` on settings that are flawless but for what is given. */
export async function doctor({
  env = {},
  runtime = "bun",
  config,
  flags = [],
}: DoctorRun = {}): Promise<Report> {
  const file = config && `/tmp/trunkline-${crypto.randomUUID()}.json`;
  if (file) await Bun.write(file, JSON.stringify(config));
  try {
    const { code, out, err } = await trunkline(["doctor", "--json", ...flags], {
      env: {
        PORT: "0",
        TRUNKLINE_TOKEN_SECRET: TEST_SECRET,
        TRUNKLINE_ALLOWED_ORIGINS: "https://app.example.com",
        ...(file && { TRUNKLINE_CONFIG: file }),
        ...env,
      },
      runtime,
    });
    const output = out + err;
    if (!out.startsWith("{")) throw new Error(`doctor printed no report:\n${output}`);
    const { verdict, counts, checks } = JSON.parse(out) as Pick<Report, "verdict" | "counts" | "checks">;
    const one = (check: string) => {
      const found = checks.filter((finding) => finding.check === check);
      if (found.length !== 1) throw new Error(`${found.length} findings of "${check}" in\n${output}`);
      return found[0]!;
    };
    return { code, verdict, counts, checks, output, one };
  } finally {
    if (file) await Bun.file(file).delete();
  }
}
