import { ApiError, call, hasToken, keepToken, onHeard } from "./api.js";
import * as channels from "./channels.js";
import { h, render } from "./dom.js";
import * as errors from "./errors.js";
import { ago } from "./format.js";
import * as overview from "./overview.js";
import { link } from "./parts.js";
import * as settings from "./settings.js";
import * as streams from "./streams.js";
import * as trace from "./trace.js";
import * as users from "./users.js";
import * as webhooks from "./webhooks.js";

const $ = (id) => document.getElementById(id);

/** In the order of the navigation. Each: `title`, `every` (ms between looks; absent: only when asked) and `open`. */
const PAGES = { overview, channels, users, trace, errors, streams, webhooks, settings };

let session;
/** The page that is open: its name, and what its `open` has returned. */
let opened;
let timer = 0;
/** Counts what is opened: what was asked for an earlier one is not shown. */
let turn = 0;

function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { name: Object.hasOwn(PAGES, path) ? path : "overview", params: new URLSearchParams(query) };
}

async function start() {
  try {
    session = await call("session");
  } catch (error) {
    if (error.status !== 401) return showFailure(error);
    if (hasToken()) keepToken("");
    return showSignIn();
  }
  if (!session) return showSignIn();
  $("nav").hidden = false;
  $("who").textContent = session.open ? "" : `${session.name}: ${session.rights.join(", ")}`;
  $("sign-out").hidden = session.open;
  await openPage();
}

async function openPage({ moved = false } = {}) {
  const { name, params } = route();
  const { title, every, open } = PAGES[name];
  const mine = ++turn;
  clearTimeout(timer);
  opened?.page.close?.();
  const look = async () => {
    // What was begun on an earlier page must not stop this one.
    if (mine !== turn) return;
    clearTimeout(timer);
    await show(page, mine);
    if (mine === turn && every) timer = setTimeout(() => (document.hidden ? undefined : look()), every);
  };
  const page = open({
    ...{ session, params, look, call: guarded },
    may: (right) => session.rights.includes(right),
    show: () => mine === turn && display(page),
    act: (work, done) => act(work, done, look),
  });
  opened = { name, page, look };
  tell("");
  document.title = `${title} · Trunkline console`;
  showPages(name);
  render(
    $("main"),
    page.view() ?? h("h1", { "data-key": "title" }, title),
    h("p", { class: "notice", "data-key": "wait" }, "Asking all instances …"),
  );
  if (moved) $("main").focus();
  await look();
}

async function show(page, mine) {
  try {
    await page.load?.();
    if (mine === turn) display(page);
  } catch (error) {
    if (mine !== turn) return;
    if (error.status === 401) return signOut();
    if (!(error instanceof ApiError)) throw error;
    display(page, error);
  }
}

function display(page, error) {
  render(
    $("main"),
    error && h("p", { class: "problem notice", role: "alert", "data-key": "problem" }, `${error.message}.`),
    page.view() ?? h("h1", { "data-key": "title" }, PAGES[opened.name].title),
  );
}

/** Does something, says what has become of it, and looks again. @param done what to say, unless `work` returns a text */
async function act(work, done, look) {
  try {
    const said = await work();
    tell(typeof said === "string" ? said : done, "good");
  } catch ({ message }) {
    tell(`Not done: ${message}.`, "bad");
  }
  await look();
}

function tell(text, tone = "") {
  const told = $("told");
  told.className = text ? `notice told ${tone}` : "told";
  told.textContent = text;
}

/** A call whose 401 ends the session wherever it was made. */
async function guarded(method, params) {
  try {
    return await call(method, params);
  } catch (error) {
    if (error.status === 401) signOut();
    throw error;
  }
}

function showPages(current) {
  render(
    $("pages"),
    Object.entries(PAGES).map(([name, { title }]) =>
      h("li", {}, h("a", { href: link(name), "aria-current": name === current && "page" }, title)),
    ),
  );
  $("menu").textContent = `Menu: ${PAGES[current].title}`;
  setMenu(false);
}

function setMenu(isOpen) {
  $("menu").setAttribute("aria-expanded", String(isOpen));
}

function showFailure({ message }) {
  render(
    $("main"),
    h("p", { class: "problem notice", role: "alert" }, `${message}.`),
    h("button", { class: "primary", type: "button", onclick: () => void start() }, "Try again"),
  );
}

function showSignIn(problem = "") {
  document.title = "Sign in · Trunkline console";
  const submit = async (event) => {
    event.preventDefault();
    const secret = new FormData(event.target).get("token").trim();
    keepToken(secret);
    try {
      await call("session");
    } catch (error) {
      keepToken("");
      return showSignIn(error.status === 401 ? "Nobody has this token." : `${error.message}.`);
    }
    await start();
  };
  render(
    $("main"),
    h(
      "form",
      { class: "card sign-in", onsubmit: submit, "data-key": "sign-in", autocomplete: "off" },
      h("h1", {}, "Sign in"),
      h(
        "div",
        { class: "field" },
        h("label", { for: "token" }, "Your token"),
        h("input", { name: "username", autocomplete: "username", hidden: true }),
        h("input", {
          id: "token",
          name: "token",
          type: "password",
          required: true,
          "aria-describedby": "token-help",
          autocomplete: "current-password",
        }),
        h(
          "p",
          { class: "help", id: "token-help" },
          "The secret of your line in ",
          h("code", {}, "console.tokens"),
          ". It stays in this tab.",
        ),
      ),
      h("button", { class: "primary", type: "submit" }, "Sign in"),
      h("p", { class: "problem", role: "alert" }, problem),
    ),
  );
  $("token").focus();
}

function signOut() {
  keepToken("");
  turn++;
  clearTimeout(timer);
  opened?.page.close?.();
  opened = undefined;
  $("nav").hidden = true;
  $("sign-out").hidden = true;
  $("who").textContent = "";
  showSignIn();
}

/** What the answering instance lacks, in the bar. @param at absent: it did not answer */
function showState(at) {
  const lacks = at ? [...lackOf(at)] : ["no answer"];
  document.body.dataset.link = at?.broker.state !== "connected" ? "down" : lacks.length > 0 ? "wait" : "up";
  $("state-text").textContent = [...(at ? [`${at.instance} (${at.region})`] : []), ...lacks].join(": ");
}

function* lackOf({ broker, presence }) {
  if (broker.state !== "connected")
    yield `NATS is away since ${ago(broker.since_ms)}, only this instance is seen`;
  else if (presence !== "ok") yield "Redis does not answer, presence is partial";
}

onHeard(showState);
$("sign-out").addEventListener("click", signOut);
$("menu").addEventListener("click", () => setMenu($("menu").getAttribute("aria-expanded") !== "true"));
addEventListener("hashchange", () => session && openPage({ moved: true }));
document.addEventListener(
  "visibilitychange",
  () => !document.hidden && opened && PAGES[opened.name].every && opened.look(),
);
void start();
