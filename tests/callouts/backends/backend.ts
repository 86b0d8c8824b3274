/** The same backend in the tests' own process. */

type Asked = Readonly<Record<string, never>> & {
  readonly channel: string;
  readonly user: string;
  readonly method: string;
  readonly meta?: { readonly plan?: string };
  readonly data: { readonly text: string; readonly a: number; readonly b: number };
};

const inSeconds = (seconds: number) => Math.floor(Date.now() / 1_000) + seconds;

const EVENTS: Readonly<Record<string, (asked: Asked, headers: Headers) => object | undefined>> = {
  connect(_asked, headers) {
    const shown = `${headers.get("cookie")} ${headers.get("authorization")}`;
    if (!/session=ann|Bearer ann/.test(shown)) return { disconnect: { code: 4501, reason: "who?" } };
    const about = { info: { name: "Ann" }, data: { hello: "ann" }, meta: { plan: "pro" } };
    return { result: { user: "ann", expire_at: inSeconds(2), ...about } };
  },
  refresh: ({ meta }) => ({
    result: meta?.plan === "pro" ? { expire_at: inSeconds(3_600) } : { expired: true },
  }),
  subscribe({ channel }) {
    if (channel === "asked:plain") return { result: {} };
    if (channel !== "asked:open") return { error: { code: 403, message: "closed" } };
    return { result: { info: { seat: 7 }, data: { welcome: true }, expire_at: inSeconds(2) } };
  },
  sub_refresh: () => ({ result: { expired: true } }),
  publish: ({ data, user }) =>
    data.text === "bad"
      ? { error: { code: 400, message: "no" } }
      : { result: { data: { text: data.text.toUpperCase(), by: user } } },
  rpc: ({ method, data }) => (method === "sum" ? { result: { data: { sum: data.a + data.b } } } : undefined),
};

/** Answers until it is disposed of. */
export function bunBackend(): { url: string } & AsyncDisposable {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const event = new URL(request.url).pathname.slice(1);
      const answer = EVENTS[event]?.((await request.json()) as Asked, request.headers);
      return answer ? Response.json(answer) : new Response("null", { status: 500 });
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}
