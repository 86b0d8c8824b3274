import { FIGURES } from "../src/bench/plan/figures.ts";
import { plan } from "../src/bench/plan/plan.ts";
import { PRICES } from "../src/bench/plan/prices.ts";
import { planInputs, planTable } from "../src/bench/plan/report.ts";
import { aligned } from "./markdown.ts";

/** From `<!-- plan: flags -->`, `<!-- figures -->` or `<!-- prices -->` to `<!-- end -->`. */
const PLACE = /(<!-- (plan: [^\n]*|figures|prices) -->\n)[\s\S]*?(<!-- end -->)/g;

/** The page on capacity with everything that the calculator knows made anew. */
export function capacityPage(text: string): string {
  return text.replace(PLACE, (_, begin: string, what: string, end: string) => {
    const lines =
      what === "figures" ? figures() : what === "prices" ? prices() : planned(what.slice("plan: ".length));
    return `${begin}\n${lines.join("\n")}\n\n${end}`;
  });
}

function planned(flags: string): string[] {
  const given: Record<string, string | true> = {};
  for (const [, name, value] of flags.matchAll(/--([a-z0-9-]+)(?: ([^\s-]\S*))?/g)) {
    given[name!.replace(/-(.)/g, (_, char: string) => char.toUpperCase())] = value ?? true;
  }
  const inputs = planInputs(given);
  const limits = inputs.flatMap((input) =>
    plan(input).limits.map((text) => `- ${input.connections.toLocaleString("en")}: ${text}`),
  );
  return [...aligned(planTable(inputs)), ...(limits.length > 0 ? ["", ...limits] : [])];
}

function figures(): string[] {
  return Object.values(FIGURES).map(
    ({ what, value, source }) => `- ${what}: **${value.toLocaleString("en")}** (${source})`,
  );
}

function prices(): string[] {
  return Object.values(PRICES).map((price) => {
    const sums =
      "value" in price
        ? `$${price.value}`
        : price.fixed.map(({ name, dollars }) => `${name} $${dollars}`).join(", ");
    return `- ${price.what}: **${sums}** (${price.source})`;
  });
}
