import { headcount, type Layout } from "../layout.ts";

/** An endpoint to connect to; each address of a server has its own local ports. */
export interface Endpoint {
  readonly hostname: string;
  readonly port: number;
}

export interface Routes {
  /** Clients take these in turn; with `fill`, each endpoint gets a block of consecutive clients. */
  readonly endpoints: readonly Endpoint[];
  readonly fill?: boolean;
  readonly layout: Layout;
}

/**
 * The endpoint of a client, by its number.
 * @param avoidPort of an instance that leaves: its clients are spread over the others
 */
export function endpointOf(
  { endpoints, fill, layout }: Routes,
  number: number,
  avoidPort?: number,
): Endpoint {
  const { length } = endpoints;
  const own = endpoints[fill ? Math.floor((number * length) / headcount(layout)) : number % length]!;
  if (own.port !== avoidPort) return own;
  // Clients of one endpoint have consecutive numbers, or numbers `length` apart.
  const others = endpoints.filter(({ port }) => port !== avoidPort);
  return others[(fill ? number : Math.floor(number / length)) % others.length] ?? own;
}
