/** Which service classifies: the published ones, the newest first; asked for once and kept while the page is open. */

import { ApiError, getJson } from "./api.js";
import { patiently } from "./loading.js";

let chosen = null;

function newestFirst(a, b) {
  return String(b.version).localeCompare(String(a.version), undefined, { numeric: true });
}

async function choose() {
  const { services } = await patiently(() => getJson("v1/services"));
  if (!services.length) throw new ApiError(404, { code: "unknown_service", message: "no service is published yet; run galclass publish" });
  return services.find((service) => service.aliases.includes("latest")) ?? services.sort(newestFirst)[0];
}

/** The service that classifies; waits for a lost server. */
export async function currentService() {
  return (chosen ??= await choose());
}

/** Forget the service, so that the next image asks which is current. */
export function forgetService() {
  chosen = null;
}

/** A service and its model in one line. */
export function serviceLine(service) {
  const { name, version, model } = service;
  return `${name} ${version}, model ${model.name} ${model.version}`;
}
