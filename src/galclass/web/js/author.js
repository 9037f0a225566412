/** The name under which somebody labels images of a visit; kept in this browser. */

const KEY = "galclass-author";

let name = remembered();

function remembered() {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return ""; // storage is not available; the name then lasts as long as the page
  }
}

/** The name; "you" if none was given. */
export function author() {
  return name || "you";
}

/** The name as it was typed. */
export function authorTyped() {
  return name;
}

/** Set the name. */
export function setAuthor(text) {
  name = text.trim();
  try {
    localStorage.setItem(KEY, name);
  } catch {
    return; // as above
  }
}
