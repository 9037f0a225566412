/**
 * Which window has which session: by the browser's locks, or by a heartbeat in localStorage where there are none (they
 * need a secure origin). A heartbeat names its window: one that was taken for dead, as it did not answer for a while,
 * sees in `isOurs` that another has its session by now.
 */

const BEAT_MS = 5_000;
const CLOSING_MS = 2_000; // a window that is closing, or the page before a reload, may still hold the lock
const ANSWER_MS = 3_000; // a busy window answers late
const STALE_MS = 90_000; // a hidden window's timers run once a minute
const WINDOW = crypto.getRandomValues(new Uint32Array(2)).join("-");

const releases = new Map(); // of sessions that this window has
const keyOf = (id) => `galclass-session ${id}`;
const nameOf = (id) => `galclass ${id}`;

function beatOf(id) {
  const [time, owner] = (localStorage.getItem(keyOf(id)) ?? "").split(" ");
  return { owner, fresh: Date.now() - Number(time) < STALE_MS };
}

/** Whether a window has a session. */
export async function isHeld(id) {
  if (!navigator.locks) return beatOf(id).fresh;
  return (await navigator.locks.query()).held.some(({ name }) => name === nameOf(id));
}

/** Whether a session that this window held is still its own. */
export function isOurs(id) {
  return Boolean(navigator.locks) || !releases.has(id) || [WINDOW, undefined].includes(beatOf(id).owner);
}

/** Hold a session for this window alone, waiting for one that is closing if `waits`; false if another window has it. */
export async function hold(id, { waits = false } = {}) {
  const giveBack = navigator.locks ? await lock(id, waits) : await lease(id);
  if (!giveBack) return false;
  const channel = new BroadcastChannel(nameOf(id));
  channel.onmessage = ({ data }) => data === "who" && isOurs(id) && channel.postMessage("here");
  releases.set(id, () => (channel.close(), giveBack()));
  return true;
}

/** Let other windows have a session. */
export function release(id) {
  releases.get(id)?.();
  releases.delete(id);
}

async function lock(id, waits) {
  const first = await request(id, { ifAvailable: true });
  if (first || !waits) return first;
  const controller = new AbortController();
  setTimeout(() => controller.abort(), CLOSING_MS);
  isAnswered(id).then((answered) => answered && controller.abort());
  return request(id, { signal: controller.signal });
}

/** A function that gives the lock back; null if it was not granted. */
function request(id, options) {
  return new Promise((resolve) => {
    const keep = (granted) => {
      if (!granted) return resolve(null);
      return new Promise((giveBack) => resolve(giveBack)); // until the window closes, or gives it back
    };
    navigator.locks.request(nameOf(id), options, keep).catch(() => resolve(null));
  });
}

async function lease(id) {
  try {
    const before = beatOf(id);
    if (before.fresh && (await isAnswered(id) || ![before.owner, undefined].includes(beatOf(id).owner))) return null;
    const beat = () => localStorage.setItem(keyOf(id), `${Date.now()} ${WINDOW}`);
    const end = () => {
      clearInterval(beating);
      if (isOurs(id)) localStorage.removeItem(keyOf(id));
    };
    beat();
    const beating = setInterval(() => (isOurs(id) ? beat() : clearInterval(beating)), BEAT_MS);
    window.addEventListener("pagehide", end);
    return end;
  } catch {
    return null; // storage is not available: a separate session
  }
}

/** Whether an open window says that it has a session. */
function isAnswered(id) {
  const channel = new BroadcastChannel(nameOf(id));
  return new Promise((resolve) => {
    setTimeout(resolve, ANSWER_MS, false);
    channel.onmessage = ({ data }) => data === "here" && resolve(true);
    channel.postMessage("who");
  }).finally(() => channel.close());
}
