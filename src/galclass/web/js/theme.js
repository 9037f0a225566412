/** Colours: as the system, light or dark; the choice is kept in this browser. */

const KEY = "galclass-theme";
const STEPS = ["auto", "light", "dark"];
const LABELS = { auto: ["Auto", "as the system"], light: ["Light", "light"], dark: ["Dark", "dark"] };

function remembered() {
  try {
    return localStorage.getItem(KEY) ?? "auto";
  } catch {
    return "auto"; // storage is not available; the choice then lasts as long as the page
  }
}

function remember(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    return; // as above
  }
}

function apply(theme, button) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  const [short, long] = LABELS[theme];
  button.textContent = `◐ ${short}`;
  button.setAttribute("aria-label", `Colours: ${long}. Change`);
}

/** Make the button cycle through the themes. */
export function startTheme(button) {
  let theme = STEPS.includes(remembered()) ? remembered() : "auto";
  apply(theme, button);
  button.addEventListener("click", () => {
    theme = STEPS[(STEPS.indexOf(theme) + 1) % STEPS.length];
    remember(theme);
    apply(theme, button);
  });
}
