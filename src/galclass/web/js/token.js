/** The access token of this visit: kept only for the browser tab, sent with every request, forgotten once it is refused. */

import { h } from "./dom.js";

const KEY = "galclass-token";
let token = read();
let asking = null;
let asked = 0; // counts the reader's answers
let given = false; // the last answer

function read() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null; // storage is not available; the token then lasts as long as the page
  }
}

/** The token, or null. */
export function currentToken() {
  return token;
}

function keep(text) {
  token = text || null;
  try {
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
  } catch {
    return; // as above
  }
}

/** Forget the token that the server refused; a newer one stays. */
export function forgetToken(refused) {
  if (token === refused) keep(null);
}

/** How often the reader was asked so far. */
export const timesAsked = () => asked;

/** Ask for a token; returns whether one was entered. Requests that fail together share one dialog, also one that was `before` the reader's answer and fails after it. */
export async function askForToken(reason, before = asked) {
  if (before !== asked) return given;
  asking ??= showDialog(reason).then((entered) => {
    [asking, given] = [null, entered];
    asked += 1;
  });
  await asking;
  return given;
}

function showDialog(reason) {
  return new Promise((resolve) => {
    const before = document.activeElement;
    const field = h("input", { type: "password", id: "token-field", autocomplete: "off", spellcheck: "false", value: token ?? "" });
    const done = (given) => {
      if (given) keep(field.value.trim());
      dialog.close();
      dialog.remove();
      if (before?.isConnected) before.focus({ preventScroll: true });
      resolve(given && Boolean(token));
    };
    const form = h("form", { onsubmit: (event) => (event.preventDefault(), done(true)) },
      h("h2", { id: "token-title" }, "Access token"),
      h("p", { class: "note" }, reason),
      h("label", { for: "token-field" }, "Token"), field,
      h("div", { class: "controls" }, h("button", { type: "submit", class: "primary" }, "Use token"), h("button", { type: "button", onclick: () => done(false) }, "Cancel")));
    const dialog = h("dialog", { class: "small-dialog", "aria-labelledby": "token-title", oncancel: (event) => (event.preventDefault(), done(false)) }, form);
    document.body.append(dialog);
    dialog.showModal();
    field.focus();
  });
}
