import { connect, type Socket } from "node:net";
import { EventSource } from "eventsource";
import type { TestInstance } from "./instances.ts";
import { until } from "./until.ts";

/** One JSON line or event of a stream. */
export interface StreamMessage {
  readonly id?: number;
  readonly connect?: {
    readonly client: string;
    readonly session?: string;
    readonly node: string;
    readonly subs?: Record<
      string,
      { readonly recovered?: boolean; readonly publications?: readonly { readonly data: unknown }[] }
    >;
  };
  readonly error?: { readonly code: number };
  readonly channel?: string;
  readonly pub?: { readonly data: unknown };
  readonly push?: {
    readonly channel?: string;
    readonly pub?: { readonly data: unknown };
    readonly disconnect?: { readonly code: number };
  };
  readonly disconnect?: { readonly code: number };
}

/** A stream over a socket of its own, which the test may stop reading or cut. */
export class RawStream implements Disposable {
  readonly socket: Socket;
  /** Everything received, as it came. */
  text = "";
  ended = false;

  /** Sends a request to an instance, and reads its answer without understanding HTTP. */
  constructor(instance: TestInstance, path: string, body: string, method = "POST") {
    const { hostname, port } = new URL(instance.url);
    this.socket = connect(Number(port), hostname);
    this.socket.setEncoding("utf8");
    this.socket.on("data", (text: string) => {
      this.text += text;
    });
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.ended = true;
    });
    this.socket.write(
      `${method} ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  }

  /** Whole lines that are JSON objects, also as data of events. */
  get messages(): StreamMessage[] {
    return this.text
      .split("\n")
      .slice(0, -1)
      .map((line) => line.replace(/^data: /, ""))
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as StreamMessage);
  }

  /** Waits for the first message of which this is true. */
  message(accept: (message: StreamMessage) => boolean, timeoutMs?: number): Promise<StreamMessage> {
    return until(() => this.messages.find(accept), {
      what: `a message in ${this.text.slice(-500)}`,
      ...(timeoutMs !== undefined && { timeoutMs }),
    });
  }

  /** What the stream said in its connect answer. */
  async connected(): Promise<NonNullable<StreamMessage["connect"]>> {
    return (await this.message((message) => message.connect !== undefined)).connect!;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** Sends commands of a stream's client to an instance; the status it answers. */
export async function emulate(
  instance: TestInstance,
  target: { session?: string; node: string },
  data: string,
): Promise<number> {
  const { session, node } = target;
  const response = await fetch(`${instance.url}/emulation`, {
    method: "POST",
    body: JSON.stringify({ session, node, data }),
  });
  return response.status;
}

/** A plain `EventSource` on `/connection/uni_sse`, with all it got. */
export class EventClient implements Disposable {
  readonly messages: StreamMessage[] = [];
  readonly source: EventSource;
  /** Data of live publications and of missed ones, in order of arrival. */
  readonly data: unknown[] = [];

  constructor(instance: TestInstance, request: object) {
    const query = encodeURIComponent(JSON.stringify(request));
    this.source = new EventSource(`${instance.url}/connection/uni_sse?cf_connect=${query}`);
    this.source.onmessage = ({ data }) => {
      const message = JSON.parse(data as string) as StreamMessage;
      this.messages.push(message);
      if (message.pub) this.data.push(message.pub.data);
      for (const sub of Object.values(message.connect?.subs ?? {})) {
        for (const pub of sub.publications ?? []) this.data.push(pub.data);
      }
    };
  }

  get connects(): NonNullable<StreamMessage["connect"]>[] {
    return this.messages.flatMap(({ connect }) => connect ?? []);
  }

  [Symbol.dispose](): void {
    this.source.close();
  }
}
