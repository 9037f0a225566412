/** Notices: a line of text at the foot of the window, perhaps with a button to undo or retry. */

import { h } from "./dom.js";

const shown = new Map();

function region() {
  return document.getElementById("notices");
}

/** Remove a notice. */
export function withdraw(key) {
  shown.get(key)?.remove();
  shown.delete(key);
}

/**
 * Show a notice until it is dismissed or replaced by one of the same key.
 * `action` is {label, run}: a button beside the text that also removes the notice.
 */
export function notify(text, { key = text, action = null } = {}) {
  withdraw(key);
  const act = action && h("button", { type: "button", class: "quiet", onclick: () => (withdraw(key), action.run()) }, action.label);
  const node = h("div", { class: "notice", "data-key": key }, h("p", {}, text), act,
    h("button", { type: "button", class: "quiet dismiss", "aria-label": "Dismiss", onclick: () => withdraw(key) }, "×"));
  shown.set(key, node);
  region().append(node);
}
