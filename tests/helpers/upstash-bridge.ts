/** An Upstash-compatible REST endpoint of a test, over a real redis-server. */
export interface UpstashBridge extends AsyncDisposable {
  readonly url: string;
  readonly token: string;
  /** HTTP requests since the start. */
  readonly requests: number;
  /** Most commands seen in one request. */
  readonly largestPipeline: number;
  /**
   * What requests get instead of an answer: `error` 502 with HTML, `hang` nothing at all, `late` the commands run and
   * nothing is answered. `none`: all is well.
   */
  fault: "none" | "error" | "hang" | "late";
}

type Value = { status: string } | { error: string } | string | number | null | Value[];

/**
 * Speaks Upstash's REST protocol (https://upstash.com/docs/redis/features/restapi): one command as a JSON array or as
 * a path, `/pipeline`, `/multi-exec`, bearer token, `Upstash-Encoding: base64`, `upstash-sync-token`.
 */
export async function upstashBridge(redisPort: number, token = "bridge-token"): Promise<UpstashBridge> {
  let redis = await respSocket(redisPort);
  let [requests, largestPipeline, syncs] = [0, 0, 0];
  const bridge = { fault: "none" as UpstashBridge["fault"] };

  const run = async (commands: string[][]): Promise<Value[]> => {
    if (redis.closed) redis = await respSocket(redisPort);
    return redis.send(commands);
  };

  const answer = async (request: Request): Promise<Response> => {
    const url = new URL(request.url);
    const given = request.headers.get("authorization") ?? `Bearer ${url.searchParams.get("_token")}`;
    if (given !== `Bearer ${token}`) return Response.json({ error: "Unauthorized" }, { status: 401 });
    const base64 = request.headers.get("upstash-encoding") === "base64";
    const headers = { "upstash-sync-token": `sync${++syncs}` };
    const body = await request.text();
    if (url.pathname === "/pipeline" || url.pathname === "/multi-exec") {
      const commands = (JSON.parse(body) as unknown[][]).map((command) => command.map(String));
      largestPipeline = Math.max(largestPipeline, commands.length);
      if (url.pathname === "/pipeline") {
        return Response.json(
          (await run(commands)).map((value) => item(value, base64)),
          { headers },
        );
      }
      const results = (await run([["MULTI"], ...commands, ["EXEC"]])).at(-1)!;
      if (!Array.isArray(results)) {
        return Response.json(item(results, base64), { status: 400, headers });
      }
      return Response.json(
        results.map((value) => item(value, base64)),
        { headers },
      );
    }
    const command =
      url.pathname === "/" ? (JSON.parse(body) as unknown[]).map(String) : pathCommand(url, body);
    const result = item((await run([command]))[0]!, base64);
    return Response.json(result, { status: "error" in result ? 400 : 200, headers });
  };

  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      requests++;
      if (bridge.fault === "error") return new Response("<html>bad gateway</html>", { status: 502 });
      if (bridge.fault === "hang") return new Promise<Response>(() => {});
      try {
        const response = await answer(request);
        return bridge.fault === "late" ? new Promise<Response>(() => {}) : response;
      } catch (error) {
        return Response.json({ error: String(error) }, { status: 500 });
      }
    },
  });

  return {
    url: `http://127.0.0.1:${server.port}`,
    token,
    get requests() {
      return requests;
    },
    get largestPipeline() {
      return largestPipeline;
    },
    get fault() {
      return bridge.fault;
    },
    set fault(fault) {
      bridge.fault = fault;
    },
    async [Symbol.asyncDispose]() {
      redis.close();
      await server.stop(true);
    },
  };
}

function pathCommand(url: URL, body: string): string[] {
  const command = url.pathname.slice(1).split("/").map(decodeURIComponent);
  if (body) command.push(body);
  for (const [name, value] of url.searchParams) {
    if (name !== "_token") command.push(name, ...(value === "" ? [] : [value]));
  }
  return command;
}

function item(value: Value, base64: boolean): { result: unknown } | { error: string } {
  if (value !== null && typeof value === "object" && "error" in value) return { error: value.error };
  return { result: encode(value, base64) };
}

/** Everything textual in base64 but the status OK. */
function encode(value: Value, base64: boolean): unknown {
  if (Array.isArray(value)) return value.map((element) => encode(element, base64));
  if (value === null || typeof value === "number") return value;
  const text = typeof value === "string" ? value : "status" in value ? value.status : value.error;
  if (!base64 || (text === "OK" && typeof value !== "string")) return text;
  return Buffer.from(text).toString("base64");
}

interface RespSocket {
  readonly closed: boolean;
  send(commands: string[][]): Promise<Value[]>;
  close(): void;
}

async function respSocket(port: number): Promise<RespSocket> {
  const waiting: {
    count: number;
    values: Value[];
    resolve: (values: Value[]) => void;
    reject: (e: Error) => void;
  }[] = [];
  let closed = false;
  let buffer = Buffer.alloc(0);
  const end = () => {
    closed = true;
    for (const { reject } of waiting.splice(0)) reject(new Error("redis is gone"));
  };
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data(_, chunk) {
        buffer = Buffer.concat([buffer, chunk]);
        for (;;) {
          const parsed = parse(buffer, 0);
          if (!parsed) return;
          buffer = buffer.subarray(parsed.end);
          const first = waiting[0]!;
          first.values.push(parsed.value);
          if (first.values.length === first.count) waiting.shift()!.resolve(first.values);
        }
      },
      close: end,
      error: end,
    },
  });
  return {
    get closed() {
      return closed;
    },
    send(commands) {
      return new Promise((resolve, reject) => {
        if (closed) return reject(new Error("redis is gone"));
        waiting.push({ count: commands.length, values: [], resolve, reject });
        const text = commands.map(
          (command) =>
            `*${command.length}\r\n${command.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join("")}`,
        );
        write(socket, Buffer.from(text.join("")));
      });
    },
    close: () => socket.end(),
  };
}

/** Bun's socket takes what fits: the rest goes when it has room again. */
function write(socket: { write(data: Buffer): number; readyState: number }, data: Buffer): void {
  const written = socket.write(data);
  if (written >= 0 && written < data.length) setTimeout(() => write(socket, data.subarray(written)), 1);
}

function parse(bytes: Buffer, at: number): { value: Value; end: number } | undefined {
  const line = bytes.indexOf("\r\n", at);
  if (line < 0) return undefined;
  const head = bytes.toString("utf8", at + 1, line);
  const next = line + 2;
  switch (bytes[at]) {
    case 0x2b: // +
      return { value: { status: head }, end: next };
    case 0x2d: // -
      return { value: { error: head }, end: next };
    case 0x3a: // :
      return { value: Number(head), end: next };
    case 0x24: {
      // $
      const length = Number(head);
      if (length < 0) return { value: null, end: next };
      if (bytes.length < next + length + 2) return undefined;
      return { value: bytes.toString("utf8", next, next + length), end: next + length + 2 };
    }
    default: {
      // *
      const count = Number(head);
      if (count < 0) return { value: null, end: next };
      const values: Value[] = [];
      let end = next;
      for (let index = 0; index < count; index++) {
        const element = parse(bytes, end);
        if (!element) return undefined;
        values.push(element.value);
        end = element.end;
      }
      return { value: values, end };
    }
  }
}
