/** Keeps the images of a visit in this browser (IndexedDB), so that Back, reload and a closed window lose nothing. */

import { isReadable } from "./formats.js";
import { hold, isHeld, isOurs, release } from "./leases.js";
import { notify } from "./notices.js";

const NAME = "galclass";
const KEY = "galclass-session";
const KEPT = 3; // visits; older ones are dropped unless somebody labelled their images
const WRITE_MS = 250; // changes are collected this long
const FIELDS = ["number", "name", "objectId", "votes", "framePx", "status", "record", "reason", "service", "scoredAt", "converted", "preview", "labels"];

const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});
const finished = (transaction) => new Promise((resolve, reject) => {
  transaction.oncomplete = resolve;
  transaction.onerror = transaction.onabort = () => reject(transaction.error);
});

function open() {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore("sessions", { keyPath: "id" });
    request.result.createObjectStore("items", { keyPath: ["session", "number"] });
    request.result.createObjectStore("files", { keyPath: ["session", "number"] });
  };
  return done(request);
}

const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const rangeOf = (id) => IDBKeyRange.bound([id, 0], [id, Infinity]);

function remembered() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null; // storage is not available
  }
}

function remember(id) {
  try {
    sessionStorage.setItem(KEY, id);
  } catch {
    return; // as above
  }
}

const newId = () => crypto.getRandomValues(new Uint32Array(2)).join("-");

export class Session {
  #database = null;
  #id = null;
  #clearedNumbers = new Set();
  #dirty = new Map();
  #files = new Map();
  #gone = [];
  #timer = null;
  #broken = false;

  constructor(store) {
    this.store = store;
  }

  /** Restore what was kept and keep what follows; returns the unfinished images. */
  async start() {
    try {
      this.#database = await open();
      await this.#choose();
      await this.#restore();
    } catch (error) {
      this.#fail(error);
    }
    const keepFiles = ({ detail }) => detail.items.forEach((item) => this.#files.set(item.number, item.file));
    const on = (names, listener) => names.forEach((name) => this.store.addEventListener(name, listener));
    on(["add", "convert"], keepFiles);
    on(["add", "convert", "finish", "label"], ({ detail }) => this.#mark(detail.items));
    on(["clear"], ({ detail }) => this.#onClear(detail));
    on(["undo"], () => this.#onUndo());
    window.addEventListener("pagehide", () => this.#write());
    window.addEventListener("pageshow", ({ persisted }) => persisted && location.reload()); // another page may have gone on with the session
    window.addEventListener("beforeunload", (event) => this.#broken && this.store.items.length && event.preventDefault());
    return this.store.items.filter(({ status }) => status === "waiting");
  }

  async #choose() {
    const all = (await done(this.#database.transaction("sessions").objectStore("sessions").getAll())).sort((a, b) => b.savedAt - a.savedAt);
    const own = remembered();
    const candidates = own ? [own] : all.map(({ id }) => id);
    for (const id of candidates) {
      if (await hold(id, { waits: id === candidates[0] })) { // the window used last may be closing
        this.#id = id;
        break;
      }
    }
    if (!this.#id) {
      this.#id = newId();
      await hold(this.#id);
    }
    remember(this.#id);
    await this.#tidy(all.map(({ id }) => id).filter((id) => id !== this.#id));
  }

  /** Drop the older visits, except those with labels; both are told. */
  async #tidy(others) {
    let labelled = 0;
    let dropped = 0;
    for (const id of others.slice(KEPT - 1)) {
      const items = await this.#uncleared(id);
      if (items.some(({ labels }) => Object.keys(labels ?? {}).length)) labelled += await isHeld(id) ? 0 : 1;
      else if (await hold(id)) {
        await this.#drop(id);
        release(id);
        dropped += items.length;
      }
    }
    const told = [dropped && `${plural(dropped, "image")} without labels, of windows closed before the last ${KEPT}, removed from this browser.`,
      labelled && `${plural(labelled, "older window")} with labels kept: open this page in further windows to see the images, and clear those you no longer need.`];
    if (dropped || labelled) notify(told.filter(Boolean).join(" "), { key: "older" });
  }

  /** The images of a visit that were not cleared. */
  async #uncleared(id) {
    const transaction = this.#database.transaction(["sessions", "items"]);
    const [about, rows] = await Promise.all([done(transaction.objectStore("sessions").get(id)), done(transaction.objectStore("items").getAll(rangeOf(id)))]);
    return rows.filter(({ number }) => !about?.cleared?.includes(number));
  }

  async #drop(id) {
    const transaction = this.#database.transaction(["sessions", "items", "files"], "readwrite");
    transaction.objectStore("sessions").delete(id);
    transaction.objectStore("items").delete(rangeOf(id));
    transaction.objectStore("files").delete(rangeOf(id));
    await finished(transaction);
  }

  async #restore() {
    const transaction = this.#database.transaction(["sessions", "items", "files"]);
    const [about, rows, files] = await Promise.all([
      done(transaction.objectStore("sessions").get(this.#id)), done(transaction.objectStore("items").getAll(rangeOf(this.#id))), done(transaction.objectStore("files").getAll(rangeOf(this.#id))),
    ]);
    const blobs = new Map(files.map(({ number, file }) => [number, file]));
    this.#clearedNumbers = new Set(about?.cleared ?? []);
    const whole = rows.filter(({ number }) => blobs.has(number)).map(({ session, ...item }) => ({ ...item, file: blobs.get(item.number) }));
    for (const item of whole) if (item.status === "sending") item.status = "waiting";
    this.store.restore(whole.filter(({ number }) => !this.#clearedNumbers.has(number)), whole.filter(({ number }) => this.#clearedNumbers.has(number)));
  }

  #onClear({ items, gone }) {
    this.#gone.push(...gone.map(({ number }) => number));
    this.#clearedNumbers = new Set(items.map(({ number }) => number));
    this.#mark(items);
    this.#write();
  }

  #onUndo() {
    this.#clearedNumbers = new Set();
    this.#write();
  }

  #mark(items) {
    for (const item of items) this.#dirty.set(item.number, item);
    this.#timer ??= setTimeout(() => this.#write(), WRITE_MS);
  }

  /** This window was taken for dead, and another has its session: keep everything in a new one. */
  #moveOn() {
    const all = [...this.store.items, ...this.store.cleared];
    release(this.#id);
    this.#id = newId();
    hold(this.#id);
    remember(this.#id);
    this.#clearedNumbers = new Set(this.store.cleared.map(({ number }) => number));
    this.#files = new Map(all.map((item) => [item.number, item.file]));
    this.#dirty = new Map(all.map((item) => [item.number, item]));
    this.#gone = [];
  }

  /** Write the changes; a transaction that has begun completes even if the window closes. */
  #write() {
    clearTimeout(this.#timer);
    this.#timer = null;
    if (!this.#database || this.#broken) return;
    if (!isOurs(this.#id)) this.#moveOn();
    const session = this.#id;
    const [files, dirty] = [this.#files, this.#dirty];
    try {
      const transaction = this.#database.transaction(["sessions", "items", "files"], "readwrite", { durability: "relaxed" });
      const sessions = transaction.objectStore("sessions");
      if (this.store.items.length || this.store.cleared.length) sessions.put({ id: session, savedAt: Date.now(), cleared: [...this.#clearedNumbers] });
      else sessions.delete(session); // an empty window closed last would hide the images of the one before
      for (const [number, file] of files) transaction.objectStore("files").put({ session, number, file });
      for (const item of dirty.values()) transaction.objectStore("items").put({ session, ...Object.fromEntries(FIELDS.map((name) => [name, item[name]])) });
      for (const number of this.#gone) for (const name of ["items", "files"]) transaction.objectStore(name).delete([session, number]);
      finished(transaction).catch((error) => this.#writeReadable(error, files, dirty));
    } catch (error) {
      this.#fail(error);
    }
    this.#files = new Map();
    this.#dirty = new Map();
    this.#gone = [];
  }

  /** A write failed: without files that changed or vanished on the disk it may not. */
  async #writeReadable(error, files, dirty) {
    const readable = new Map();
    for (const [number, file] of files) if (await isReadable(file)) readable.set(number, file);
    if (readable.size === files.size) return this.#fail(error);
    this.#files = new Map([...readable, ...this.#files]);
    this.#dirty = new Map([...dirty, ...this.#dirty]);
    this.#write();
  }

  #fail(error) {
    if (this.#broken) return;
    this.#broken = true;
    notify(`This browser cannot keep your images (${error?.name ?? "no storage"}): a reload loses them. Download the results before you leave.`, { key: "session" });
  }
}
