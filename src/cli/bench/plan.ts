import { FIGURES } from "../../bench/plan/figures.ts";
import { plan } from "../../bench/plan/plan.ts";
import { PRICES } from "../../bench/plan/prices.ts";
import { planInputs, planNotes, planTable } from "../../bench/plan/report.ts";
import { columns, paint, print, UserError } from "../output.ts";

/** `trunkline bench --plan`: what systems of given sizes need and cost. */
export function benchPlan(flags: Readonly<Record<string, unknown>>): void {
  try {
    const inputs = planInputs(flags);
    const plans = inputs.map((input) => ({ input, plan: plan(input) }));
    if (flags.json) {
      print(JSON.stringify({ plans, figures: FIGURES, prices: PRICES }, null, 2));
      return;
    }
    const limits = plans.flatMap((one) =>
      one.plan.limits.map((text) => `${one.input.connections.toLocaleString("en")}: ${text}`),
    );
    print(
      [
        columns(planTable(inputs)),
        "",
        ...limits.map((text) => `! ${text}`),
        ...planNotes(inputs[0]!).map((text) => paint("dim", `· ${text}`)),
      ].join("\n"),
    );
  } catch (error) {
    throw error instanceof TypeError ? new UserError(error.message) : error;
  }
}
