/** The address of a label desk: its name, the target class, the other classes, the model. */

import { decoded } from "./api.js";

export const GALAXY_ZOO = "galaxy-zoo"; // the desk of the 13 classes

/** The address as {desk, target, classes, model}; no desk: the list of desks. */
export function deskOfAddress() {
  const [path, query] = location.hash.replace(/^#\//, "").split("?");
  const name = decoded(path.split("/")[1] ?? "");
  const parameters = new URLSearchParams(query ?? "");
  return { desk: name, target: parameters.get("target") ?? "", classes: parameters.getAll("class"), model: parameters.get("model") ?? "" };
}

/** The address of a desk. */
export function addressOfDesk({ desk, target, classes, model }) {
  const parameters = new URLSearchParams([["target", target], ...classes.map((name) => ["class", name]), ...(model ? [["model", model]] : [])]);
  return `#/label/${encodeURIComponent(desk)}?${parameters}`;
}
