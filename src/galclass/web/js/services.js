/** Which service classifies: the published ones, the newest first; asked for once and kept while the page is open. */

import { ApiError, getJson, ServerLost } from "./api.js";
import { untilBack } from "./connection.js";

let chosen = null;

/** All published services as the API lists them. */
export async function listServices() {
  return (await getJson("v1/services")).services;
}

function newestFirst(a, b) {
  return String(b.version).localeCompare(String(a.version), undefined, { numeric: true });
}

/** The service that classifies; waits for a lost server. */
export async function currentService() {
  while (!chosen) {
    try {
      const services = await listServices();
      if (!services.length) throw new ApiError(404, { code: "unknown_service", message: "no service is published yet; run galclass publish" });
      chosen = services.find((service) => service.aliases.includes("latest")) ?? services.sort(newestFirst)[0];
    } catch (error) {
      if (!(error instanceof ServerLost)) throw error;
      await untilBack(error.afterS);
    }
  }
  return chosen;
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
