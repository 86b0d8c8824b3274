const GB = 1e9;

/**
 * List prices in US dollars, with source and date. They change: check them, and pass your own as flags.
 */
export const PRICES = {
  /** A machine of Fly.io for gateways, NATS and Redis: performance-2x. */
  machineMonth: {
    value: 66,
    cpus: 2,
    bytes: 4 * 2 ** 30,
    what: "Fly.io performance-2x (2 CPUs, 4 GB), a month, Ashburn",
    source: "fly.io/docs/about/pricing, list price as quoted on 2026-10-09",
  },
  egressGb: {
    value: 0.02,
    what: "Fly.io outbound transfer, a GB, North America and Europe",
    source: "fly.io/docs/about/pricing, from a copy without a date; other regions cost several times that",
  },
  redisPer100k: {
    value: 0.2,
    what: "Upstash Redis, pay as you go, 100,000 commands",
    source: "upstash.com/pricing/redis, list price as of 2026-11-09",
  },
  /** Fixed plans, and the limit of every plan with a list price. */
  upstash: {
    commandsPerSecond: 10_000,
    fixed: [
      { name: "250 MB", bytes: 0.25 * GB, dollars: 10 },
      { name: "1 GB", bytes: GB, dollars: 20 },
      { name: "5 GB", bytes: 5 * GB, dollars: 100 },
      { name: "10 GB", bytes: 10 * GB, dollars: 200 },
      { name: "50 GB", bytes: 50 * GB, dollars: 400 },
      { name: "100 GB", bytes: 100 * GB, dollars: 800 },
      { name: "500 GB", bytes: 500 * GB, dollars: 1_500 },
    ],
    what: "Upstash Redis, fixed plans by size, without limit of commands a month",
    source: "upstash.com/pricing/redis, list prices as of 2026-09-20",
  },
} as const;
