/** The images of this visit: they outlive the views and the page. */

import { imported } from "./connection.js";
import { notify } from "./notices.js";
import { Queue } from "./queue.js";
import { currentService } from "./service.js";
import { Session } from "./session.js";
import { Store } from "./store.js";

const NAMED = 5; // files named of those left out
const REPORT = /\.(?:html?|json)$/i; // reports and the labels that were made in them

export const store = new Store();
export const queue = new Queue(store, currentService);
const session = new Session(store);

/** Side of the survey's full frame in px, if files contain only its centre. */
export const frame = { px: null };

/** Resolved once the images of the last visit are restored. */
export const restored = session.start().then((unfinished) => queue.push(unfinished));

/** Add images and reports; `left` are the names of files that are neither. */
export function takeImages(entries, left = []) {
  const named = left.slice(0, NAMED).join(", ") + (left.length > NAMED ? " and others" : "");
  if (left.length) notify(`${left.length} file${left.length === 1 ? "" : "s"} left out, not images: ${named}`, { key: "left out" });
  const reports = entries.filter(({ name }) => REPORT.test(name));
  const images = entries.filter((entry) => !reports.includes(entry));
  if (images.length) restored.then(() => queue.push(store.add(images.map((entry) => ({ framePx: frame.px, ...entry })))));
  if (reports.length) restored.then(async () => (await imported(() => import("./report-labels.js"))).takeReports(reports.map(({ file }) => file), store));
}
