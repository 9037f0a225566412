/** Help: what the page does, the key to the classes, and every shortcut; opened by "?" from anywhere. */

import { h, svg } from "./dom.js";
import { glyph } from "./glyphs.js";
import { CLASSES, CLASS_NAMES, groupOf } from "./morphology.js";

const SHORTCUTS = [
  ["?", "this help"],
  ["G then C L P K M S", "go to Classify, Label, Map, Catalog, Models or Services"],
  ["/", "search: by name in Classify, by object id in the Catalog"],
  ["← →", "in the details: previous and next image"],
  ["1 2 3 4", "in the details: Why, Votes, Similar, Facts"],
  ["+ −", "in the details: zoom the image; drag moves it"],
  ["I S", "in the details: invert, change the stretch"],
  ["1 2 3 4", "at the label desk: the classes, as the keys beside them say"],
  ["L", "in the details: the keys of the classes label the image, then comes the next; L again ends it"],
  ["← ↑ → ↓", "on the map: choose a galaxy; with Shift move the map"],
  ["Space V Esc", "on the map: select, select everything in view, clear the selection"],
  ["+ − 0", "on the map: zoom, show all"],
  ["Space ⌫ X", "at the label desk: skip, undo, cannot tell"],
  ["N L F", "at the label desk: note, ranked list, full screen"],
  ["Esc", "close what is open"],
];

const PLACES = { c: "#/classify", l: "#/label", p: "#/map", k: "#/catalog", m: "#/models", s: "#/services" };
const LEAD_MS = 1500; // between G and the next key

function key(cls) {
  return h("li", { class: `group-${groupOf(cls)}` }, svg("svg", { viewBox: "-20 -20 40 40", width: 40, height: 40, "aria-hidden": "true" }, glyph(cls, 40)), h("b", {}, cls), ` ${CLASS_NAMES[cls]}`);
}

function dialog() {
  const element = h("dialog", { class: "help", "aria-labelledby": "help-title" },
    h("header", { class: "detail-head" }, h("h2", { id: "help-title" }, "Help"), h("div", { class: "controls" }, h("button", { type: "button", class: "quiet", autofocus: true, onclick: () => element.close() }, "Close"))),
    h("div", { class: "sheet-content" },
      h("p", {}, "Add images under Classify; each gets the Galaxy Zoo 2 class that the model expects volunteers to see. The fork counts the classes: a click shows one alone. A card opens the details: why, the votes, similar galaxies, facts. Images stay in this browser until you clear them; they are sent only to this server."),
      h("h3", {}, "The classes"), h("ul", { class: "class-key" }, CLASSES.map(key)),
      h("p", { class: "note" }, "Percentages are probabilities of the model. A prediction set contains the classes that the model cannot rule out. “Unlike the training data” means that the class should not be trusted."),
      h("h3", {}, "Shortcuts"), h("dl", { class: "shortcuts" }, SHORTCUTS.map(([keys, what]) => h("div", {}, h("dt", {}, keys.split(" ").map((one) => (one === "then" ? " then " : h("kbd", {}, one)))), h("dd", {}, what))))));
  element.addEventListener("click", (event) => event.target === element && element.close());
  element.addEventListener("close", () => element.remove());
  return element;
}

function open() {
  if (document.querySelector("dialog.help")) return;
  const element = dialog();
  const before = document.activeElement;
  document.body.append(element);
  element.addEventListener("close", () => before?.isConnected && before.focus({ preventScroll: true }));
  element.showModal();
}

function isTyping({ target }) {
  return target.matches("input:not([type=checkbox]):not([type=file]), textarea, select");
}

/** Make the button and the keys work. */
export function startHelp(button) {
  let leadAt = -Infinity;
  button.addEventListener("click", open);
  document.addEventListener("keydown", (event) => {
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    const pressed = event.key.toLowerCase();
    if (event.key === "?") {
      event.preventDefault();
      open();
    } else if (document.querySelector("dialog[open]")) {
      return;
    } else if (event.timeStamp - leadAt < LEAD_MS && PLACES[pressed]) {
      event.preventDefault(); // it is no class at the label desk
      location.hash = PLACES[pressed];
      leadAt = -Infinity;
    } else if (pressed === "g") {
      leadAt = event.timeStamp;
    } else if (event.key === "/") {
      const field = document.querySelector("main input[type=search]");
      if (field?.checkVisibility()) {
        event.preventDefault();
        field.focus();
      }
    }
  });
}
