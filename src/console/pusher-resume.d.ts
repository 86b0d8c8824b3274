import type Pusher from "pusher-js";

/** See `pusher-resume.js`. */
export function resume(pusher: Pusher): void;
