import { bare, centrifuge } from "./dialect.ts";
import { socketio } from "./dialect-socketio.ts";

/** Every dialect by its name, as it travels to the workers. */
export const dialects = { centrifuge, bare, socketio } as const;

export type DialectName = keyof typeof dialects;
