/** What `Bun.serve` takes as `websocket` where an app opens the server and has no sockets of its own. */
export type AppSockets = Bun.WebSocketHandler<never>;
