import { HOME, once, type WorldFault } from "./victim.ts";

/** Faults between regions. */
export const FAULTS_OF_REGIONS: readonly WorldFault[] = [
  {
    alert: "TrunklineHomeAway",
    what: "the NATS server of the streams' home is killed",
    makeInWorld: once((world) => world.region(HOME).nats.kill()),
  },
];
