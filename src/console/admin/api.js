const STORED = "trunkline-console-token";

/** What an answer was: `status` 401 for who is not signed in, 0 when there was none. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Told what the answering instance says of itself with each answer, or that there was none. */
let heard = () => {};
/** Of this tab alone, and gone with it. */
let token = sessionStorage.getItem(STORED) ?? "";

export function onHeard(listener) {
  heard = listener;
}

export function keepToken(secret) {
  token = secret;
  if (secret) sessionStorage.setItem(STORED, secret);
  else sessionStorage.removeItem(STORED);
}

export const hasToken = () => token !== "";

/** Headers of every request: who asks. */
export const credentials = () => (token ? { authorization: `Bearer ${token}` } : {});

/** Calls a method of the console. @throws ApiError */
export async function call(method, params = {}) {
  let response;
  let body;
  try {
    response = await fetch(`api/${method}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...credentials() },
      body: JSON.stringify(params),
      signal: AbortSignal.timeout(15_000),
    });
    body = await response.json();
  } catch {
    heard(undefined);
    throw new ApiError(response?.status ?? 0, 0, "This instance does not answer");
  }
  heard(body.at);
  if (body.error) throw new ApiError(response.status, body.error.code, body.error.message);
  return body.result;
}
