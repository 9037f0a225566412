/** A colour for each class on the dark ground of the map: the hue of its group, lighter where the galaxy is rounder or tighter. */

const KNOWN = {
  Er: "#ffd9a8", Ei: "#f5a35c", Ec: "#d9702a",
  Sa: "#d3e6ff", Sb: "#9ec8ff", Sc: "#6aa8f7", Sd: "#4583e0", Se: "#8f8bff",
  SBa: "#c8fbe9", SBb: "#85ead0", SBc: "#41cdae", SBd: "#1fa386",
  A: "#f08bb4",
};

const OWN = ["#f5a35c", "#6aa8f7", "#41cdae", "#f08bb4", "#e6d667", "#b79bff", "#9fb0bd", "#ff8f7a"]; // the user's own classes, in turn

/** The colour of each of some classes, by name. */
export function coloursOf(classes) {
  const own = classes.filter((name) => !Object.hasOwn(KNOWN, name));
  return Object.fromEntries(classes.map((name) => [name, Object.hasOwn(KNOWN, name) ? KNOWN[name] : OWN[own.indexOf(name) % OWN.length]]));
}
