/** Which service classifies: the reader's choice, or the one with the most accurate model. */

import { ApiError, getJson, inWords } from "./api.js";
import { h } from "./dom.js";
import { patiently } from "./loading.js";
import { percent } from "./morphology.js";

const KEY = "galclass-service";

let asked = null; // the promise of the list, so that all ask once
let wanted = remembered();
let told = null; // the element that names the service
let unnamed = false; // it says why none is named

function remembered() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // storage is not available; a choice then lasts as long as the page
  }
}

function remember(name) {
  wanted = name;
  try {
    localStorage.setItem(KEY, name);
  } catch {
    return; // as above
  }
}

/** Tables of accuracies, finest first: shares from different tables cannot be compared. */
const TABLES = ["galaxies, 13 classes by vote fractions", "13 classes", "4 groups"];

const accuracyOf = ({ model }) => model.accuracy?.accuracy ?? -1;

function rankOf({ model }) {
  if (!model.accuracy) return TABLES.length + 1;
  const rank = TABLES.indexOf(model.accuracy.table);
  return rank < 0 ? TABLES.length : rank;
}

/** The services that an alias "latest" points to, the most accurate first. */
async function latestServices() {
  const [{ services: published }, { models }] = await patiently(() => Promise.all([getJson("v1/services"), getJson("v1/models")]));
  const services = published.filter(({ model }) => model !== null); // functions have other inputs
  if (!services.length) throw new ApiError(404, { code: "unknown_service", message: published.length ? "no published service classifies images, only functions are; run galclass publish with a model" : "no service is published yet; run galclass publish" });
  const latest = services.filter(({ aliases }) => aliases.includes("latest"));
  const measured = (latest.length ? latest : services).map((service) => {
    const known = models.find(({ name, version }) => name === service.model.name && version === service.model.version);
    return { ...service, model: { ...service.model, accuracy: known?.accuracy ?? null } };
  });
  return measured.sort((a, b) => rankOf(a) - rankOf(b) || accuracyOf(b) - accuracyOf(a) || String(b.created_at).localeCompare(String(a.created_at)));
}

function known() {
  asked ??= latestServices().then((services) => {
    if (unnamed) queueMicrotask(() => showService(told));
    return services;
  }, (error) => {
    asked = null;
    throw error;
  });
  return asked;
}

/** The service that classifies; waits for a lost server. */
export async function currentService() {
  const services = await known();
  return services.find(({ name }) => name === wanted) ?? services[0];
}

/** Forget the services, so that the next image requests the current one, and name that one. */
export function forgetService() {
  asked = null;
  if (told) showService(told);
}

/** The accuracy of a model, in words; empty if it was not measured. */
export function accuracyText(accuracy) {
  if (!accuracy) return "";
  return `right on ${percent(accuracy.accuracy)} of ${accuracy.count} test galaxies (${accuracy.table})`;
}

function serviceLine({ name, version, model }) {
  return `${name} ${version}, model ${model.name} ${model.version}`;
}

/** Show which service classifies, or why none does; if there are several, the reader may choose. */
export async function showService(place) {
  told = place;
  unnamed = false;
  try {
    const content = choice(place, await known(), await currentService());
    const hadFocus = place.contains(document.activeElement);
    place.replaceChildren(content);
    if (hadFocus) content.focus({ preventScroll: true });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    unnamed = true;
    place.textContent = inWords(error);
  }
}

function choice(place, services, current) {
  if (services.length < 2) return h("span", { title: accuracyText(current.model.accuracy) }, serviceLine(current));
  const [first, ...others] = services;
  const compared = rankOf(first) < TABLES.length && others.some((other) => rankOf(other) === rankOf(first));
  const measure = ({ model: { accuracy } }) => (accuracy ? ` (${percent(accuracy.accuracy)} right, ${accuracy.table})` : "");
  const options = services.map((service) => h("option", { value: service.name, selected: service.name === current.name },
    `${serviceLine(service)}${measure(service)}${compared && service === first ? ", the most accurate" : ""}`));
  const select = h("select", { "aria-label": "Service that classifies", title: accuracyText(current.model.accuracy), onchange: () => {
    remember(select.value);
    showService(place);
  } }, options);
  return select;
}
