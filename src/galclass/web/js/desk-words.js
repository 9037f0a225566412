/** The state of a label desk, in words. */

import { h } from "./dom.js";
import { percent } from "./morphology.js";

const FEWEST = 3; // fewest labels of each class for a head; as in the package
const FEWEST_TO_ESTIMATE = 10;

/** Of how many galaxies the queue and the list are; the server keeps only so many embeddings in memory. */
function ofAll(pool, embeddings) {
  const all = embeddings ? embeddings.done - embeddings.failed : pool;
  return all > pool ? `the first ${pool.toLocaleString("en")} of ${all.toLocaleString("en")} galaxies by id` : pool.toLocaleString("en");
}

/** How many galaxies are labelled, of how many. */
export function progressText({ counts, untold, disputed, pool, embeddings }) {
  const labelled = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const rest = [untold && `${untold} undecided`, disputed && `${disputed} disputed`].filter(Boolean).join(", ");
  return [h("b", {}, `${labelled.toLocaleString("en")} labelled`), ` of ${ofAll(pool, embeddings)}${rest ? `; ${rest}` : ""}`];
}

function share({ value, low, high }) {
  return `${percent(value)} (95 %: ${percent(low)} to ${percent(high)})`;
}

/** How good the head is so far, or what it lacks. */
export function estimateText({ target, counts, estimate }) {
  const told = (few) => Object.entries(few).map(([name, count]) => `${name} has ${count}`).join(", ");
  if (!estimate) {
    const few = Object.fromEntries(Object.entries(counts).filter(([, count]) => count < FEWEST));
    return `Nothing is ranked yet: ${FEWEST} labels of ${target} and of another class are needed${Object.keys(few).length ? ` (${told(few)})` : ""}.`;
  }
  const { lacking, objects, precision, recall } = estimate;
  if (Object.keys(lacking).length) return `Too few labels to say how good the ranking is: ${FEWEST_TO_ESTIMATE} of each class are needed (${told(lacking)}).`;
  if (!precision) return `None of ${objects} labelled galaxies was predicted to be ${target} by a head fitted without it.`;
  return `Precision of ${target}: ${share(precision)}${recall ? `, recall ${share(recall)}` : ""}; cross-validated on ${objects} labelled galaxies, which were chosen, not drawn at random.`;
}

/** What was said of the last galaxy, and what the head expected. */
export function beforeText({ probabilities }, label) {
  const best = probabilities && Object.entries(probabilities).sort((a, b) => b[1] - a[1])[0];
  return ["Before: ", h("b", {}, label ?? "cannot tell"), best ? `; the head expected ${best[0]} (${percent(best[1])}).` : "."];
}

/** Why no galaxy is shown; `pending` requests are on their way. */
export function nothingText({ embeddings: { total, done } }, pending) {
  if (pending) return "The next galaxies are on their way.";
  if (!total) return "No image is stored. Add some with galclass images add.";
  return done < total ? "No image has been read yet." : "Every galaxy is labelled.";
}
