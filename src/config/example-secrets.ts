import type { Config } from "./table.ts";

/** What stands in examples and in `trunkline dev` for a secret: everybody can read it. */
const EXAMPLE = /change[-_ ]?me|^dev-(secret|api-key|key)-of-trunkline|^(secret|password)$/i;

/**
 * Secrets that were taken from an example: whoever reads the repository could sign tokens, or call the server API. Names
 * the settings, never the values.
 */
export function* exampleSecrets({ auth, api, apps, console, http, nats }: Config): Generator<string> {
  const secrets: [key: string, values: readonly (string | undefined)[]][] = [
    ["auth.tokenSecret", [auth.tokenSecret]],
    ["auth.issuers", auth.issuers.map(({ secret }) => secret)],
    ["api.keys", api.keys],
    ["console.tokens", console.tokens.map((token) => token.split(":").slice(2).join(":"))],
    ["http.metricsToken", [http.metricsToken]],
    ["nats.password", [nats.password]],
    ["nats.token", [nats.token]],
    ...apps.map(({ id, keys }) => [`apps.${id}`, keys.map(({ secret }) => secret)] as [string, string[]]),
  ];
  for (const [key, values] of secrets) {
    if (values.some((value) => value !== undefined && EXAMPLE.test(value))) {
      yield `${key}: it is the secret of an example, which everybody can read. Make one of your own: openssl rand -hex 32`;
    }
  }
}
