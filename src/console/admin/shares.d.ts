interface Share {
  readonly region: string;
  readonly instance: string;
  readonly connections: number;
}

/** See `shares.js`. */
export function surplus(
  instances: readonly Share[],
  tolerance: number,
): (Share & { readonly tooMany: number })[];
