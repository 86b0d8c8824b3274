import type { Options } from "centrifuge";
import { EventSource } from "eventsource";

/** What stock clients reach the server with, so that a test can break it under them, as a network would. */
export class Links {
  readonly #open = new Set<() => void>();

  /** Breaks what is open now. */
  break(): void {
    for (const cut of this.#open) cut();
    this.#open.clear();
  }

  /** Options of a client whose links are these. @param base where `/emulation` is */
  options(base: string): Partial<Options> {
    const open = this.#open;
    class TrackedWebSocket extends WebSocket {
      constructor(address: string | URL, protocols?: string | string[]) {
        super(address, protocols);
        // No close frame: a link that breaks says no goodbye.
        open.add(() => (this as unknown as { terminate(): void }).terminate());
      }
    }
    class TrackedEventSource extends EventSource {
      constructor(address: string | URL) {
        super(address);
        open.add(() => {
          this.close();
          this.onerror?.call(this, new Event("error") as never);
        });
      }
    }
    return {
      websocket: TrackedWebSocket,
      eventsource: TrackedEventSource,
      readableStream: ReadableStream,
      emulationEndpoint: `${base}/emulation`,
      fetch: (address: string, init: RequestInit) => {
        if (address.endsWith("/emulation")) return fetch(address, init);
        const cut = new AbortController();
        open.add(() => cut.abort());
        return fetch(address, { ...init, signal: AbortSignal.any([cut.signal, init.signal!]) });
      },
    };
  }
}
