import type { Config } from "../../config.ts";
import { AddressGuard, INSIDE } from "../../webhooks/address-guard.ts";
import type { Finding } from "./report.ts";

/** Checks that the names of webhooks lead somewhere, and not into the network. Nothing is sent. */
export async function checkWebhooks({
  apps,
  webhooks,
}: Pick<Config, "apps" | "webhooks">): Promise<Finding[]> {
  const guard = new AddressGuard(webhooks.allowedNetworks);
  const urls = [...apps.flatMap((app) => app.webhooks), ...webhooks.endpoints].map(({ url }) => new URL(url));
  const hosts = [...new Set(urls.map(({ hostname }) => hostname))];
  return await Promise.all(hosts.map((host) => checkHost(guard, host)));
}

async function checkHost(guard: AddressGuard, host: string): Promise<Finding> {
  const check = `webhooks to ${host}`;
  const failure = guard.refusesHost(host) ? INSIDE : await lookUp(guard, host.replace(/^\[|\]$/g, ""));
  if (failure === undefined) return { check, verdict: "ok", what: "its address may be sent to" };
  if (failure !== INSIDE) {
    return {
      check,
      verdict: "failed",
      what: `the name leads nowhere (${failure})`,
      fix: `getent hosts ${host}`,
    };
  }
  return {
    ...{ check, verdict: "failed", what: "its address lies inside the network" },
    cause: "webhooks are sent to the internet, and to what webhooks.allowedNetworks names",
    fix: "TRUNKLINE_WEBHOOKS_ALLOWED_NETWORKS=10.0.0.0/8   or narrower",
  };
}

function lookUp(guard: AddressGuard, host: string): Promise<string | undefined> {
  return new Promise((resolve) =>
    guard.lookup(host, { all: true }, (error) => resolve(error?.code ?? error?.message)),
  );
}
