import { devToken, NoDevTokens, userOf } from "./token.js";

const $ = (id) => document.getElementById(id);

/** Names offered to whoever comes without one. */
const NAMES = [
  "ada",
  "bell",
  "grace",
  "hedy",
  "ivan",
  "joan",
  "karl",
  "lars",
  "mina",
  "nora",
  "otto",
  "tesla",
];

const STORE = "trunkline-demo-name";

/**
 * The form one comes in by. `#room=42` in the address leads into the room at once, under a name that is made up. It is kept for
 * the tab, so that a reload comes back as the same person while a second tab is a second one.
 * @param join told `{user, token, refresh, name, place}` when there is a token
 */
export function joinForm({ join }) {
  const form = $("join-form");
  const problem = (words) => {
    $("join-problem").textContent = words;
  };

  async function submit() {
    problem("");
    const name = $("room").value;
    let user = $("name").value;
    try {
      const pasted = $("token-field").hidden ? "" : $("token").value.trim();
      if (pasted) {
        user = userOf(pasted);
        if (user === undefined)
          return problem("This is not a token. A token has three parts with dots between them.");
        enter({ user, token: pasted, name, place: {} });
        return;
      }
      const { token, ...place } = await devToken(user);
      enter({ user, token, refresh: async () => (await devToken(user)).token, name, place });
    } catch (error) {
      if (!(error instanceof NoDevTokens))
        return problem(`The instance cannot be reached (${error.message}).`);
      $("token-field").hidden = false;
      nameToken();
      $("token").required = true;
      $("token").focus();
    }
  }

  function nameToken() {
    $("token-command").textContent = `trunkline token --user ${$("name").value}`;
  }

  function enter(stay) {
    sessionStorage.setItem(STORE, stay.user);
    const hash = `#room=${encodeURIComponent(stay.name)}`;
    if (location.hash !== hash) history.replaceState(null, "", hash);
    join(stay);
  }

  $("name").addEventListener("input", nameToken);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void submit();
  });

  const self = {
    get room() {
      return $("room").value;
    },
    /** Takes the room from the address; false when it names none. */
    readHash() {
      const named = new URLSearchParams(location.hash.slice(1)).get("room");
      if (!named) return false;
      $("room").value = named;
      return $("room").checkValidity();
    },
    /** Comes in with what the form holds. */
    submit: () => form.requestSubmit(),
    /** The person left on purpose: a reload does not come back. */
    left() {
      sessionStorage.removeItem(STORE);
      history.replaceState(null, "", location.pathname);
      $("name").focus();
    },
  };

  const kept = sessionStorage.getItem(STORE);
  $("name").value =
    kept ?? `${NAMES[Math.floor(Math.random() * NAMES.length)]}-${Math.floor(Math.random() * 90) + 10}`;
  if (self.readHash()) queueMicrotask(self.submit);
  else $("name").select();
  return self;
}
