/** The keys of the label desk: for each class, and for everything else. */

const KEYS = [..."123456789qwertyuopadhjkvbmz"]; // the other letters have their own meaning

/** [key, class] for each class; classes beyond the keys have an empty one and are clicked. */
export function keysOf(classes) {
  return classes.map((name, index) => [KEYS[index] ?? "", name]);
}

/** The other keys and what they run. */
export function reservedKeys(run) {
  return {
    " ": run.skip, Backspace: run.undo, x: run.untold, n: run.note, l: run.list, f: run.full, i: run.invert, s: run.stretch,
    "+": () => run.zoom(1), "=": () => run.zoom(1), "-": () => run.zoom(-1),
  };
}
