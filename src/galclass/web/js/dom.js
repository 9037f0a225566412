/** Build DOM nodes without markup strings: text can never become HTML. */

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) node.style.setProperty(key, text);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An HTML element; `on...` attributes are listeners, `style` an object of CSS properties. */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element, with the same attributes. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

const DOUBLE_MS = 300; // at most between the clicks of a double click: too little to judge another picture

let clickedAt = -Infinity;

/** A listener that takes a double click for one click, on whichever of these buttons it ends. */
export function once(run) {
  return (event) => {
    const isSecond = event.detail > 1 && event.timeStamp - clickedAt < DOUBLE_MS;
    clickedAt = event.timeStamp;
    if (!isSecond) run(event);
  };
}

let controls = 0;

/** A label beside its control, tied by an id. */
export function labelled(text, control) {
  control.id ||= `control-${(controls += 1)}`;
  return h("div", { class: "field" }, h("label", { for: control.id }, text), control);
}

/** Announce a sentence to screen readers without moving the focus. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}
