import { choice, list, size } from "./setting.ts";

/** Settings of what is compressed on its way to clients. */
export const compression = {
  "compression.sent": choice(["off", "shared", "4KB", "8KB", "16KB", "32KB", "64KB", "128KB", "256KB"], {
    default: "off",
    doc:
      "Compress WebSocket frames to clients that offer it (permessage-deflate). `shared`: each frame for itself. A size: one " +
      "compressor for each connection, which remembers the frames before and takes 140 KB and more. [Measured](compression.md). On Bun only.",
  }),
  "compression.received": choice(["shared", "4KB", "8KB", "16KB", "32KB"], {
    default: "shared",
    doc:
      "What decompresses clients' frames. `shared`: clients are told to compress each frame for itself. A size: a window for each " +
      "connection; less than 32KB holds for clients that let it be chosen.",
  }),
  "compression.threshold": size("32B", "32KiB", {
    default: "512B",
    doc: "Shorter frames are not compressed, neither on WebSockets nor in streams.",
  }),
  "compression.exceptUserAgents": list(/^[^,]{1,128}$/, "a part of a `User-Agent`", {
    default: ["webkit"],
    doc:
      "Clients whose WebSockets are not compressed, by a part of their `User-Agent`. `webkit`: Safari, all browsers of iOS, and " +
      "apps on Apple's network stack, which close connections over some compressed frames.",
  }),
  "compression.streams": choice(["off", "direct", "all"], {
    default: "off",
    doc:
      "Compress HTTP streams and SSE (gzip, each message for itself) for clients that accept it. `direct`: not if the request " +
      "has a `Via` header, as proxies add that may hold answers back. `all`: in spite of it.",
  }),
} as const;
