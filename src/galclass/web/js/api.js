/** The public HTTP API as functions; every failure is an ApiError (said by the server) or a ServerLost (no answer). */

/** The server refused: `message` is its own sentence. */
export class ApiError extends Error {
  constructor(status, { code = "error", message = `the server answered ${status}`, field = null } = {}) {
    super(message);
    Object.assign(this, { status, code, field });
  }
}

/** No answer came, or one that says to come back: waiting helps. `afterS` is the server's advice in seconds. */
export class ServerLost extends Error {
  constructor(afterS = null) {
    super("The server does not answer");
    this.afterS = afterS;
  }
}

const COME_BACK = new Set([429, 502, 503, 504]);

/** Fetch a path below the page's own address and give the response, or throw. */
export async function request(path, options = {}) {
  const { token = null, ...rest } = options;
  const headers = { ...rest.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), { ...rest, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerLost();
  }
  if (response.ok) return response;
  if (COME_BACK.has(response.status)) throw new ServerLost(Number(response.headers.get("Retry-After")) || null);
  const body = await response.json().catch(() => ({}));
  throw new ApiError(response.status, body.error ?? {});
}

/** Fetch JSON. */
export async function getJson(path, options) {
  return (await request(path, options)).json();
}

/** Send a JSON body and fetch JSON. */
export function sendJson(method, path, body, token = null) {
  return getJson(path, { method, token, body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
}

/** Send one file to an end of a service ("predict", "explain", "similar"); gives its JSON. */
export function askService(service, end, { file, objectId, signal = null }) {
  const path = ["v1", "services", service.name, service.version, end].map(encodeURIComponent).join("/");
  const type = file.type.startsWith("image/") ? file.type : "application/octet-stream";
  const headers = { "Content-Type": type, Accept: "application/json" };
  return getJson(`${path}?${new URLSearchParams({ object_id: objectId })}`, { method: "POST", body: file, headers, signal });
}

/** Whether the server is there. */
export async function isAlive() {
  try {
    await request("healthz", { cache: "no-store" });
    return true;
  } catch (error) {
    if (error instanceof ServerLost || error instanceof ApiError) return false;
    throw error;
  }
}

/** An error as a sentence for people. */
export function inWords(error) {
  const text = error.message || String(error);
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}
