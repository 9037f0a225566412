/** Which service classifies: the reader's choice, or the one with the most accurate model. */

import { ApiError, getJson, inWords, ServerLost } from "./api.js";
import { h } from "./dom.js";
import { patiently } from "./loading.js";
import { percent } from "./morphology.js";
import { notify } from "./notices.js";

const KEY = "galclass-service";
const FRESH_MS = 60_000; // a page that is looked at again after this asks for the services anew

let asked = null; // the promise of the list, so that all ask once
let askedAt = 0;
let wanted = remembered();
let told = null; // the element that names the service
let unnamed = false; // it says why none is named
let drawing = 0; // counts drawings: an older one never replaces a newer one

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
async function latestServices(once = patiently) {
  const [{ services: published }, { models }] = await once(() => Promise.all([getJson("v1/services"), getJson("v1/models")]));
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
  if (!asked) askedAt = Date.now();
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
  return chosenOf(await known());
}

const chosenOf = (services) => services.find(({ name }) => name === wanted) ?? services[0];

/** Forget the services, so that the next image requests the current one, and name that one. */
export function forgetService() {
  asked = null;
  if (told) showService(told);
}

const namesOf = (services) => services.map(({ name, version }) => `${name} ${version}`).join("\n");

/** Ask for the services again after a while; a lost server, or one that refuses, changes nothing. */
async function renew() {
  if (document.hidden || Date.now() - askedAt < FRESH_MS) return;
  askedAt = Date.now();
  const mine = asked;
  if (!mine && !unnamed) return;
  try {
    const old = await mine;
    const services = await latestServices((ask) => ask());
    if (asked !== mine || (old && namesOf(services) === namesOf(old))) return; // others asked in the meantime, or nothing is new
    asked = Promise.resolve(services);
    const [before, now] = [old && chosenOf(old), chosenOf(services)];
    if (before && namesOf([now]) !== namesOf([before])) {
      notify(`${now.name} ${now.version} classifies new images from now on; earlier results are those of ${before.name} ${before.version}.`, { key: "service" });
    }
    await showService(told);
  } catch (error) {
    if (!(error instanceof ApiError || error instanceof ServerLost)) throw error;
  }
}

/** Notice versions that are published while the page is open: whenever the reader comes back to it. */
export function watchServices() {
  window.addEventListener("focus", renew);
  window.addEventListener("hashchange", renew);
  document.addEventListener("visibilitychange", renew);
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
  const own = (drawing += 1);
  try {
    const services = await known();
    if (own !== drawing) return;
    const content = choice(place, services, chosenOf(services));
    const hadFocus = place.contains(document.activeElement);
    place.replaceChildren(content);
    if (hadFocus) content.focus({ preventScroll: true });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (own !== drawing) return;
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
