import process from "node:process";
import { Hono } from "hono";
import { serveStatic } from "hono/bun";
import { getSignedCookie, setSignedCookie } from "hono/cookie";
import { createTrunkline } from "trunkline";

/** Signs cookies and tokens. `openssl rand -hex 32` makes one; without it, everybody is signed out by a restart. */
const SECRET = process.env.SECRET ?? crypto.randomUUID() + crypto.randomUUID();

const trunkline = await createTrunkline({
  settings: {
    log: { level: "warn" },
    auth: { tokenSecret: SECRET },
    namespaces: {
      chat: {
        history: { size: 200, age: "24h" },
        recovery: "stream",
        publish: "subscriber",
        presence: true,
        maxMessage: "4KiB",
      },
    },
  },
});

const app = new Hono<{ Bindings: Bun.Server<never> }>();

/** Signs somebody in by name alone. A real app checks a password, or asks an identity provider. */
app.post("/login", async (c) => {
  const { name } = await c.req.json<{ name?: unknown }>();
  if (typeof name !== "string" || !/^\w{1,20}$/.test(name)) return c.text("a name of 1 to 20 letters", 400);
  await setSignedCookie(c, "user", name, SECRET, { httpOnly: true, sameSite: "Lax" });
  return c.body(null, 204);
});

/** Who is signed in gets a token of five minutes. The client asks again before it expires. */
app.get("/token", async (c) => {
  const user = await getSignedCookie(c, SECRET, "user");
  if (!user) return c.text("sign in first", 403);
  return c.text(await trunkline.token({ user, info: { name: user }, seconds: 300 }));
});

app.all("/connection/*", (c) => trunkline.fetch(c.req.raw, c.env));
app.use("/*", serveStatic({ root: `${import.meta.dir}/dist` }));

const server = Bun.serve({
  port: Number(process.env.PORT ?? 3000),
  fetch: app.fetch,
  websocket: trunkline.websocket,
});
console.log(`listening on ${server.url}`);
