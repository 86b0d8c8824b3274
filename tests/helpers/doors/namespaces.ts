import { readNamespaces } from "../../../src/config/namespaces.ts";

const OPEN = {
  ...{ history: { size: 100, age: "1m", recoverLimit: 10 }, recovery: "stream", delta: true },
  ...{ presence: true, joinLeave: "connection", presenceGrace: "1s", subscribe: "anyone", publish: "anyone" },
  ...{ presenceAccess: "anyone", historyAccess: "anyone" },
};

/** As a configuration file has them. */
export const NAMESPACES = {
  odd: OPEN,
  asked: { ...OPEN, subscribeCallout: true, publishCallout: true },
  shop: { ...OPEN, joinLeave: "user", delta: false },
};

/** The same, as the code has them. */
export const NAMESPACE_RULES = Object.fromEntries(
  readNamespaces(NAMESPACES, (problem) => {
    throw new Error(problem);
  }),
);
