/** Two models on the same labelled galaxies: how often each is right, the paired difference, and where they differ. */

import { getJson } from "./api.js";
import { h, labelled } from "./dom.js";
import { fill } from "./loading.js";
import { storedPicture } from "./pictures.js";

const points = (value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(100 * value).toFixed(1)}`;

function verdict(first, second, { count, left_out: leftOut, right, difference }) {
  const out = `${leftOut.toLocaleString("en")} left out: one of the models was fitted to these ids.`;
  if (!count && leftOut) return `There is nothing to compare on. Labelled galaxies with a stored prediction from both: ${out}`;
  if (!count) return `No labelled galaxy has a stored prediction from both. galclass score --model ${second} --pending stores those of ${second}.`;
  const [value, low, high] = difference;
  const sure = low > 0 ? `${second} is better.` : high < 0 ? `${first} is better.` : "The difference may be due to chance.";
  return [`On ${count.toLocaleString("en")} labelled galaxies ${first} is right on ${right[0]}, ${second} on ${right[1]}: `,
    h("b", {}, `${points(value)} points`), ` (95 %: ${points(low)} to ${points(high)}, paired). ${sure} ${leftOut ? out : "Galaxies that one of them was trained on favour that model."}`];
}

function differing(title, ids, count, model) {
  if (!count) return null;
  const shown = ids.length < count ? `, ${ids.length} shown` : "";
  const link = (id) => h("a", { href: `#/catalog?${new URLSearchParams({ model, search: id })}`, title: id, "aria-label": id }, storedPicture(id, 64));
  return h("section", {}, h("h4", {}, `${title}: ${count}${shown}`), h("div", { class: "differing" }, ids.map(link)));
}

/** The section below a model: a choice of another one, and the comparison. */
export function compareSection(model, models, signal) {
  const first = `${model.name}@${model.version}`;
  const others = models.map(({ name, version }) => `${name}@${version}`).filter((one) => one !== first);
  if (!others.length) return null;
  const place = h("div", { class: "comparison", "aria-live": "polite" });
  const select = h("select", { onchange: () => {
    const second = select.value;
    if (!second) return fill(place, async () => null, signal); // also a comparison on its way
    fill(place, async () => {
      const found = await getJson(`v1/comparison?${new URLSearchParams({ first, second })}`, { signal });
      return [h("p", {}, verdict(first, second, found)),
        differing(`Only ${first} is right`, found.only_first, found.only_first_count, first), differing(`Only ${second} is right`, found.only_second, found.only_second_count, second)];
    }, signal);
  } }, h("option", { value: "" }, "choose"), others.map((one) => h("option", { value: one }, one)));
  return h("section", { class: "compare" }, h("h3", {}, "Compared with another model"), labelled("On the same labelled galaxies", select), place);
}
