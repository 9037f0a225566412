/** Every filtered row of the catalog as a file: CSV, Parquet, FITS or VOTable, written by the server. */

import { ApiError, bodyOf, inWords, request } from "./api.js";
import { toParameters } from "./catalog-filters.js";
import { h } from "./dom.js";
import { save } from "./downloads.js";
import { patiently } from "./loading.js";
import { notify } from "./notices.js";

const FILES = { csv: ["CSV", "catalog.csv"], parquet: ["Parquet", "catalog.parquet"], fits: ["FITS", "catalog.fits"], votable: ["VOTable", "catalog.vot"] };

async function fetchAll(query, format) {
  const parameters = toParameters({ ...query, page: "", format });
  return patiently(async () => {
    const response = await request(`v1/predictions/export?${parameters}`);
    return { blob: await bodyOf(response, "blob"), rows: Number(response.headers.get("X-Total-Count")), type: response.headers.get("Content-Type") };
  });
}

/** The buttons; `queryOf()` returns the filters that are set. */
export function exportButtons(queryOf) {
  const button = (format) => {
    const [text, name] = FILES[format];
    return h("button", { type: "button", class: "quiet", "aria-label": `All rows as ${text}`, title: `Every filtered row as ${text}`, onclick: async (event) => {
      const { target } = event;
      target.disabled = true;
      try {
        const { blob, rows, type } = await fetchAll(queryOf(), format);
        save(blob, name, type);
        notify(`${rows.toLocaleString("en")} row${rows === 1 ? "" : "s"} written to ${name}.`, { key: "export" });
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        notify(inWords(error), { key: "export" });
      } finally {
        target.disabled = false;
        target.focus({ preventScroll: true });
      }
    } }, text);
  };
  return h("div", { class: "downloads", role: "group", "aria-label": "Every filtered row" }, Object.keys(FILES).map(button));
}
