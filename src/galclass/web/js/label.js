/** Correct a class by hand: thirteen buttons, stored with who and when. */

import { ApiError, change, inWords } from "./api.js";
import { announce, h } from "./dom.js";
import { CLASSES, CLASS_NAMES, groupOf } from "./morphology.js";

/** The section of a stored object; `done(label)` is called when a label is stored. */
export function labelSection(item, done) {
  const said = h("p", { class: "note", role: "status" }, item.label ? `Labelled ${item.label} by ${item.labelledBy ?? "hand"}.` : "Not labelled by hand yet.");
  const give = async (label) => {
    try {
      const stored = await change("POST", "v1/labels", { object_id: item.objectId, label });
      item.label = label;
      item.labelledBy = stored.labelled_by;
      said.textContent = `Labelled ${label} by ${stored.labelled_by}.`;
      for (const button of choices.children) button.setAttribute("aria-pressed", String(button.textContent === label));
      announce(`Stored ${label} for ${item.objectId}.`);
      done(label);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      said.textContent = inWords(error);
    }
  };
  const button = (cls) =>
    h("button", { type: "button", class: `label-choice group-${groupOf(cls)}`, "aria-pressed": String(item.label === cls), "aria-label": `${cls}, ${CLASS_NAMES[cls]}`, title: CLASS_NAMES[cls], onclick: () => give(cls) }, cls);
  const choices = h("div", { class: "choices" }, CLASSES.map(button));
  return h("section", { class: "label" }, h("h3", {}, "Your label"), said, choices);
}
