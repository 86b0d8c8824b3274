const API = "/console/world/api";

/** What this page proves itself with; each answer about the world brings it. */
let secret = "";

/** The world as it is now: see `Sample` in src/world/watch.ts. */
export async function look() {
  const response = await fetch(`${API}/world`, { cache: "no-store" });
  if (!response.ok) throw new Error(`the world answers ${response.status}`);
  const answer = await response.json();
  secret = answer.secret;
  return answer.world;
}

/** A token for one of this page's clients. */
export async function tokenOf(user) {
  return (await (await post(`token?user=${encodeURIComponent(user)}`)).json()).token;
}

/** `kill` or `heal`. */
export async function changeRegion(name, action) {
  await post(`regions/${name}/${action}`);
}

/** `cut` or `heal`. */
export async function changeLink(a, b, action) {
  await post(`links/${a}/${b}/${action}`);
}

async function post(path) {
  const response = await fetch(`${API}/${path}`, { method: "POST", headers: { "x-world-secret": secret } });
  if (!response.ok) throw new Error((await response.text()).trim() || `the world answers ${response.status}`);
  return response;
}
