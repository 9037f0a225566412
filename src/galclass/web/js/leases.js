/** Which window has which session: by the browser's locks, or by a heartbeat where there are none (they need a secure origin). */

const BEAT_MS = 5_000;
const CLOSING_MS = 2_000; // a window that is closing, or the page before a reload, may still hold the lock
const ANSWER_MS = 1_000;
const STALE_MS = 90_000; // a hidden window's timers run once a minute

const keyOf = (id) => `galclass-session ${id}`;
const nameOf = (id) => `galclass ${id}`;
const beatOf = (id) => localStorage.getItem(keyOf(id));
const isLeased = (id) => Date.now() - Number(beatOf(id)) < STALE_MS;

/** Whether a window has a session. */
export async function isHeld(id) {
  if (!navigator.locks) return isLeased(id);
  return (await navigator.locks.query()).held.some(({ name }) => name === nameOf(id));
}

/** Hold a session for this window alone, waiting for one that is closing if `waits`; false if another window has it. */
export async function hold(id, { waits = false } = {}) {
  const held = navigator.locks ? await lock(id, waits) : await lease(id);
  if (held) answer(id);
  return held;
}

async function lock(id, waits) {
  if (await request(id, { ifAvailable: true })) return true;
  if (!waits) return false;
  const controller = new AbortController();
  setTimeout(() => controller.abort(), CLOSING_MS);
  isAnswered(id).then((answered) => answered && controller.abort());
  return request(id, { signal: controller.signal });
}

function request(id, options) {
  return new Promise((resolve) => {
    const keep = (granted) => {
      resolve(Boolean(granted));
      return granted && new Promise(() => {}); // until the window closes
    };
    navigator.locks.request(nameOf(id), options, keep).catch(() => resolve(false));
  });
}

/** A heartbeat in localStorage; that of a window which was killed is known by its silence. */
async function lease(id) {
  try {
    const seen = beatOf(id);
    if (isLeased(id) && (await isAnswered(id) || ![seen, null].includes(beatOf(id)))) return false;
    const beat = () => localStorage.setItem(keyOf(id), Date.now());
    beat();
    setInterval(beat, BEAT_MS);
    window.addEventListener("pagehide", () => localStorage.removeItem(keyOf(id)));
    window.addEventListener("pageshow", ({ persisted }) => persisted && beat());
    return true;
  } catch {
    return false; // storage is not available: a separate session
  }
}

/** Answer other windows that ask who has a session. */
function answer(id) {
  const channel = new BroadcastChannel(nameOf(id));
  channel.onmessage = ({ data }) => data === "who" && channel.postMessage("here");
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
