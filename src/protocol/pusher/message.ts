/** Whatever a client of the Pusher protocol says. */
export interface PusherMessage {
  readonly method: "pusher";
  readonly id: 0;
  readonly event: string;
  /** Channel of a client event. */
  readonly to?: string;
  /** As JSON text; what came as a JSON string is that string. */
  readonly data: string;
  /** `data` as an object, {} when it is none. */
  readonly fields: Readonly<Record<string, unknown>>;
}
