/** Where images come from: chooser, folder, camera, drop and paste. Returns lists of {file, name} and the names of the files left out. */

import { h } from "./dom.js";

const IMAGE_NAME = /\.(?:jpg|jpeg|jpe|jfif|png|bmp|dib|webp|gif|avif|svg|tif|tiff|heic|heif|jxl|jp2|(?:fits|fit|fts)(?:\.[gf]z)?|fz)$/i; // other formats are converted, or named

function entriesOf(files) {
  return [...files].map((file) => ({ file, name: file.webkitRelativePath || file.name || "pasted image" }));
}

/** A button that opens a file chooser. */
export function chooser(label, { attributes = {}, className = "", folder = false }, take) {
  const input = h("input", { type: "file", hidden: true, multiple: true, accept: ".jpg,.jpeg,.jpe,.jfif,.png,.bmp,.dib,.svg,.fits,.fit,.fts,.gz,.fz,.html,.htm,.json,image/*", ...attributes });
  input.addEventListener("change", () => {
    const entries = entriesOf(input.files);
    take(folder ? entries.filter(({ name }) => IMAGE_NAME.test(name)) : entries, folder ? leftOut(entries) : []);
    input.value = "";
  });
  return [h("button", { type: "button", class: className, onclick: () => input.click() }, label), input];
}

function leftOut(entries) {
  return entries.map(({ name }) => name).filter((name) => !IMAGE_NAME.test(name));
}

function readFolder(reader) {
  return new Promise((resolve, reject) => reader.readEntries(resolve, reject));
}

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ file, name: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = entry.createReader();
  for (let batch = await readFolder(reader); batch.length; batch = await readFolder(reader)) {
    for (const child of batch) await walk(child, found);
  }
}

async function dropped(transfer) {
  const roots = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!roots.some((root) => root.isDirectory)) return { entries: entriesOf(transfer.files), left: [] };
  const found = [];
  for (const root of roots) await walk(root, found);
  return { entries: found.filter(({ name }) => IMAGE_NAME.test(name)), left: leftOut(found) };
}

/** Accept images dropped or pasted anywhere on the page, until `signal` ends it. */
export function listenToPage(take, signal) {
  let depth = 0;
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    document.body.classList.toggle("dropping", depth > 0);
  };
  const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const on = (name, listener) => document.addEventListener(name, listener, { signal });
  on("dragenter", (event) => holdsFiles(event) && mark(1));
  on("dragleave", (event) => holdsFiles(event) && mark(-1));
  on("dragover", (event) => holdsFiles(event) && event.preventDefault());
  on("drop", async (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    mark(-depth);
    const { entries, left } = await dropped(event.dataTransfer);
    take(entries, left);
  });
  on("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) take(entriesOf(files), []);
  });
}
