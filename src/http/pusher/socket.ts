import type { CloseCode } from "../../core/errors.ts";
import { PusherCloses } from "../../protocol/pusher/codes.ts";
import { pusherError } from "../../protocol/pusher/pusher.ts";
import type { PusherApps } from "../../pusher/apps.ts";
import type { MakeConnection } from "../../pusher/pusher.ts";
import type { Socket, SocketHandler } from "../../runtime/runtime.ts";
import type { Choose } from "../upgrade.ts";

/** Versions of the protocol that are spoken: what changed between them concerns closing only, and clients. */
const VERSIONS: ReadonlySet<string> = new Set(["5", "6", "7"]);

/** A client's own version, such as 8.6.0 or 7.2.4-beta.1. */
const CLIENT_VERSION = /^[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}$/;

/** `GET /app/:key`: a connection of the Pusher protocol, or one that is closed with the code that says why not. */
export function choosePusher(apps: PusherApps, connection: MakeConnection): Choose {
  return ({ url }, key, originAllowed) => {
    if (!key) return farewell(PusherCloses.unknownPath);
    const query = new URL(url).searchParams;
    const app = apps.byKey(key);
    const close = refusal(query.get("protocol"), query.get("version"));
    if (close) return farewell(close);
    if (!app) return farewell(PusherCloses.unknownApp);
    if (!app.enabled) return farewell(PusherCloses.appDisabled);
    if (!originAllowed) return farewell(PusherCloses.unauthorized);
    return { dialect: connection(app, Number(query.get("protocol"))) };
  };
}

function farewell(close: CloseCode): ReturnType<Choose> {
  return { farewell: new Farewell(close), why: close.reason };
}

function refusal(protocol: string | null, version: string | null): CloseCode | undefined {
  if (protocol === null || protocol === "") return PusherCloses.noProtocol;
  if (!VERSIONS.has(protocol)) return PusherCloses.unsupportedProtocol;
  if (version !== null && !CLIENT_VERSION.test(version)) return PusherCloses.invalidVersion;
  return undefined;
}

/** A socket that is told why it is closed, and closed. */
class Farewell implements SocketHandler {
  readonly #close: CloseCode;

  constructor(close: CloseCode) {
    this.#close = close;
  }

  opened(socket: Socket): void {
    const { code, reason } = this.#close;
    socket.send(pusherError({ code, message: reason }));
    socket.close(code, reason);
  }

  message(): void {}
  onControlFrame(): void {}
  drained(): void {}
  closed(): void {}
}
