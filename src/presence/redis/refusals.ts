const CLUSTER = "it is a Redis Cluster: REDIS_URL must begin with redis-cluster:// (or rediss-cluster://)";

/** Errors that say for certain that Redis does not do its work for us, by code, with what to do. One is enough. */
export const REFUSALS: ReadonlyMap<string, string> = new Map([
  ["READONLY", "it is a read-only replica: REDIS_URL must lead to the primary"],
  ["OOM", "its memory is full: raise maxmemory, or delete what is not needed"],
  ["MISCONF", "it cannot save to disk and takes no writes: look at its log and its disk"],
  ["NOREPLICAS", "it takes no writes because too few replicas are there (min-replicas-to-write)"],
  ["CROSSSLOT", CLUSTER],
  ["MOVED", CLUSTER],
  [
    "CLUSTERDOWN",
    `no master has these keys now (of a Redis Cluster: REDIS_URL must begin with redis-cluster://)`,
  ],
  ["TRYAGAIN", "the slot of these keys is being moved to another node of the cluster"],
  ["NOCLUSTER", "it is no Redis Cluster: REDIS_URL must begin with redis://"],
  ["NOAUTH", "it wants a password: see REDIS_URL"],
  ["NOPERM", "the user of REDIS_URL may not do what presence needs: trunkline doctor says what"],
  ["MASTERDOWN", "it is a replica that has lost its primary"],
  ["LOADING", "it is still loading its data"],
]);
