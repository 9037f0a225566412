/** The tab "Facts": ids that can be copied, the position with links to surveys, the model. */

import { announce, h } from "./dom.js";

function copyable(value) {
  return [h("span", { class: "copied" }, value), " ", h("button", { type: "button", class: "as-link", "aria-label": `Copy ${value}`, onclick: async (event) => {
    const { target } = event;
    try {
      await navigator.clipboard.writeText(value);
      target.textContent = "copied";
      announce("Copied.");
    } catch {
      target.textContent = "select it and copy by hand"; // browsers forbid it on insecure origins
    }
  } }, "copy")];
}

/** A right ascension in hours, minutes, seconds and a declination in degrees, as text. */
export function sexagesimal(ra, dec) {
  const parts = (value, digits) => {
    const units = Math.round(Math.abs(value) * 3600 * 10 ** digits);
    const seconds = (units % (60 * 10 ** digits)) / 10 ** digits;
    const minutes = Math.floor(units / (60 * 10 ** digits));
    return [Math.floor(minutes / 60), minutes % 60, seconds.toFixed(digits).padStart(digits + 3, "0")];
  };
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes, seconds] = parts(ra / 15, 2);
  const [degrees, arcmin, arcsec] = parts(dec, 1);
  return `${two(hours % 24)}:${two(minutes)}:${seconds} ${dec < 0 ? "-" : "+"}${two(degrees)}:${two(arcmin)}:${arcsec}`;
}

function surveys(ra, dec) {
  const link = (name, url) => h("a", { href: url, target: "_blank", rel: "noreferrer noopener" }, name);
  return [
    link("SDSS", `https://skyserver.sdss.org/dr18/VisualTools/navi?ra=${ra}&dec=${dec}&scale=0.2`), ", ",
    link("Legacy Surveys", `https://www.legacysurvey.org/viewer?ra=${ra}&dec=${dec}&zoom=15`), ", ",
    link("SIMBAD", `https://simbad.cds.unistra.fr/simbad/sim-coo?Coord=${ra}+${dec}&CooFrame=ICRS&Radius=10&Radius.unit=arcsec`), ", ",
    link("NED", `https://ned.ipac.caltech.edu/conesearch?search_type=Near%20Position%20Search&coordinates=${ra}d%20${dec}d&radius=0.2`),
  ];
}

/** The list of facts of an item. */
export function factsPanel(item) {
  const { record, position } = item;
  const model = record.model ?? {};
  const known = position && position.ra !== null && position.dec !== null;
  const pairs = [
    ["Object", copyable(item.objectId)],
    ["File", item.name !== item.objectId && [item.name, item.converted && `, converted from ${item.converted}`]],
    ["Position", known && [copyable(sexagesimal(position.ra, position.dec)), h("br"), copyable(`${position.ra.toFixed(6)} ${position.dec.toFixed(6)}`)]],
    ["Look it up", known && surveys(position.ra, position.dec)],
    ["Prediction set", (record.prediction_set ?? []).join(", ")],
    ["Model", model.name && h("a", { href: `#/models/${encodeURIComponent(model.name)}/${model.version}` }, `${model.name}, version ${model.version}`)],
    ["Model sha256", model.sha256],
    ["Service", item.service && `${item.service.name} ${item.service.version}`],
    ["Classified", item.scoredAt ?? record.scored_at],
    ["Frame", item.framePx && `${item.framePx} px`],
    ["Volunteers", item.votes?.text],
    ["By hand", item.label && `${item.label}${item.labelledBy ? `, by ${item.labelledBy}` : ""}`],
  ];
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value).map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));
}
