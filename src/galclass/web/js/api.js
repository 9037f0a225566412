/** The public HTTP API as functions; every failure is an ApiError (from the server) or a ServerLost (no response). */

import { isReadable } from "./formats.js";
import { notify } from "./notices.js";
import { askForToken, currentToken, forgetToken, timesAsked } from "./token.js";

/** The server refused: `message` is its sentence. */
export class ApiError extends Error {
  constructor(status, { code = "error", message = `the server responded with ${status}`, field = null } = {}) {
    super(message);
    Object.assign(this, { status, code, field });
  }
}

/** No response, or one that asks to retry: waiting helps. `afterS` is the server's advice in seconds. */
export class ServerLost extends Error {
  constructor(afterS = null) {
    super("The server is not responding");
    this.afterS = afterS;
  }
}

const COME_BACK = new Set([429, 502, 503, 504]);

/** Fetch a path below the page's URL and return the response, or throw. A token that is refused is forgotten. */
export async function request(path, options = {}) {
  const token = currentToken();
  let response = await send(path, options, token);
  if (response.status === 401) {
    if (token && token === currentToken()) {
      forgetToken(token);
      notify("The access token was not accepted and has been forgotten.", { key: "token" });
    }
    if (token !== currentToken()) response = await send(path, options, currentToken()); // the reader may have entered one since
  }
  if (response.ok) return response;
  if (COME_BACK.has(response.status)) throw new ServerLost(Number(response.headers.get("Retry-After")) || null);
  const body = await response.json().catch(() => ({}));
  throw new ApiError(response.status, body.error ?? {});
}

async function send(path, options, token) {
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  try {
    return await fetch(new URL(path, document.baseURI), { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerLost();
  }
}

/** The body of a response as "json" or "blob"; a broken connection, or an answer that is not the server's, is a lost server. */
export async function bodyOf(response, kind) {
  try {
    return await response[kind]();
  } catch (error) {
    throw error.name === "AbortError" ? error : new ServerLost();
  }
}

/** Fetch JSON. */
export async function getJson(path, options) {
  return bodyOf(await request(path, options), "json");
}

const DENIED = { 401: "This needs an access token. An administrator makes one with galclass tokens create.", 403: "The token's role does not allow this. Use another token." };

/** Run a request; if the server requires a token, ask for one and retry. */
export async function withToken(run) {
  for (;;) {
    const before = timesAsked();
    try {
      return await run();
    } catch (error) {
      const reason = error instanceof ApiError && DENIED[error.status];
      if (!reason || !(await askForToken(reason, before))) throw error;
    }
  }
}

/** Change something: send a JSON body, asking for a token if one is needed. */
export function change(method, path, body = null) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  return withToken(() => getJson(path, { method, body: body && JSON.stringify(body), headers }));
}

/** A path below the page from parts that may contain any character. */
export function pathOf(...parts) {
  return ["v1", ...parts].map(encodeURIComponent).join("/");
}

/** A part of an address as text; one that is not valid percent-encoding stays as it is. */
export function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Send one file to an endpoint of a service ("predict", "explain", "similar"); returns its JSON. */
export async function askService(service, end, item) {
  return bodyOf(await sendTo(service, end, item), "json");
}

/** The cutout of a file that the model sees, as a PNG. */
export async function cutoutOf(service, item) {
  return bodyOf(await sendTo(service, "cutout", item), "blob");
}

function sendTo(service, end, { file, objectId, framePx = null, signal = null }) {
  const type = file.type.startsWith("image/") ? file.type : "application/octet-stream";
  const headers = { "Content-Type": type, Accept: end === "cutout" ? "image/png" : "application/json" };
  const query = new URLSearchParams({ ...(end === "predict" || end === "explain" ? { object_id: objectId } : {}), ...(framePx && { frame_px: framePx }) });
  const path = `${pathOf("services", service.name, service.version, end)}?${query}`;
  return whileReadable([file], () => request(path, { method: "POST", body: file, headers, signal }));
}

/** Run a request that sends files; one that the browser can no longer read is an ApiError instead of a lost server, for which waiting would help. */
export async function whileReadable(files, run) {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof ServerLost) || (await Promise.all(files.map(isReadable))).every(Boolean)) throw error;
    throw new ApiError(0, { code: "unreadable_file", message: "The file cannot be read: it has changed or vanished since it was chosen" });
  }
}

/** The stored image of an object as a blob. */
export async function storedImage(objectId) {
  return bodyOf(await request(pathOf("images", objectId)), "blob");
}

/** Whether the server responds. */
export async function isAlive() {
  try {
    await getJson("healthz", { cache: "no-store" });
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
