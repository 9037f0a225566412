/** The view "Services": published versions; publish, move an alias, roll back and delete with a token. */

import { ApiError, change, getJson, inWords, pathOf, ServerLost } from "./api.js";
import { announce, h, labelled } from "./dom.js";
import { fill } from "./loading.js";
import { aliasChips, timeText } from "./models.js";
import { notify } from "./notices.js";
import { forgetService } from "./service.js";

function field(label, name, attributes = {}) {
  return labelled(label, h("input", { type: "text", name, required: true, autocomplete: "off", ...attributes }));
}

function logLine({ action, version, alias, old_version: old, at, by }) {
  const what = [action, version, alias && `alias ${alias}`, old && `before: ${old}`].filter(Boolean).join(", ");
  return h("li", {}, `${timeText(at)}: ${what} (${by})`);
}

function versionRow(service, act) {
  const here = pathOf("services", service.name, service.version);
  const isLatest = service.aliases.includes("latest");
  const makeLatest = () => act(`latest is now ${service.version}.`, "PUT", pathOf("services", service.name, "aliases", "latest"), { version: service.version });
  const remove = () => window.confirm(`Delete ${service.name} ${service.version}?`) && act(`Deleted ${service.name} ${service.version}.`, "DELETE", here);
  return h("tr", {}, h("th", { scope: "row" }, service.version), h("td", {}, aliasChips(service.aliases)),
    h("td", {}, service.model === null ? service.function.path
      : h("a", { href: `#/models/${encodeURIComponent(service.model.name)}/${service.model.version}` }, `${service.model.name} ${service.model.version}`)),
    h("td", {}, service.description), h("td", {}, timeText(service.created_at)),
    h("td", { class: "actions" },
      h("button", { type: "button", class: "quiet", disabled: isLatest, onclick: makeLatest, "aria-label": `Make ${service.version} the latest` }, "Make latest"),
      h("button", { type: "button", class: "quiet", disabled: isLatest, onclick: remove, "aria-label": `Delete ${service.version}` }, "Delete")));
}

function serviceBlock(name, versions, act, signal) {
  const log = h("details", {}, h("summary", {}, "Log"));
  const events = h("ul", { class: "log" });
  log.append(events);
  log.addEventListener("toggle", () => log.open && fill(events, async () => (await getJson(pathOf("services", name, "log"), { signal })).events.reverse().map(logLine), signal));
  const heads = ["Version", "Aliases", "Answered by", "Description", "Published", "Change"];
  return h("section", { class: "sheet-block" },
    h("div", { class: "view-head" }, h("h2", {}, name),
      h("button", { type: "button", onclick: () => act(`Rolled ${name} back.`, "POST", pathOf("services", name, "rollback")) }, "Roll back latest")),
    h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": `Versions of ${name}` }, h("table", { class: "listing" },
      h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, versions.map((service) => versionRow(service, act))))), log);
}

function publishForm(models, act) {
  const references = models.map(({ name, version }) => h("option", { value: `${name}@${version}` }, `${name}, version ${version}`)).reverse();
  const submit = (event) => {
    event.preventDefault();
    const body = Object.fromEntries(new FormData(event.target));
    act(`Published ${body.name} ${body.version}.`, "POST", "v1/services", body);
  };
  return h("form", { class: "sheet-block filters publish", onsubmit: submit, "aria-label": "Publish a service" }, h("h2", {}, "Publish"),
    field("Name", "name", { value: "galaxy-class" }), field("Version", "version", { placeholder: "1.1" }),
    labelled("Model", h("select", { name: "model" }, references)),
    field("Description", "description", { required: false }), h("button", { type: "submit", class: "primary" }, "Publish"));
}

/** Build the view. */
export function servicesView(signal) {
  const said = h("p", { class: "note", role: "status" });
  const list = h("div");
  const load = () => fill(list, async () => {
    const [{ services }, { models }] = await Promise.all([getJson("v1/services", { signal }), getJson("v1/models", { signal })]);
    const names = [...new Set(services.map(({ name }) => name))];
    const blocks = names.map((name) => serviceBlock(name, services.filter((service) => service.name === name), act, signal));
    return [!names.length && h("p", { class: "nothing" }, "No service is published yet."), blocks, models.length > 0 && publishForm(models, act)];
  }, signal);
  let acting = false; // a second click while the server is slow would roll back twice
  const act = async (done, method, path, body = null) => {
    if (acting) return;
    acting = true;
    said.textContent = "Waiting for the server…";
    try {
      await change(method, path, body);
      forgetService();
      said.textContent = done;
      announce(done);
      await load();
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof ServerLost)) throw error;
      const text = error instanceof ServerLost ? "The server did not respond: look below whether this was done, and try again." : inWords(error);
      said.textContent = text;
      if (!said.isConnected) notify(text, { key: "services" }); // the reader is at another view now
    } finally {
      acting = false;
    }
  };
  load();
  return [h("div", { class: "view-head" }, h("h1", {}, "Services")), said, list];
}
