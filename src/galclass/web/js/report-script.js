/** The script inside a downloaded report: it is embedded as text, so it uses nothing from outside itself. */

/** Keep the classes that somebody chooses, and save them as a file of labels or as the report itself. */
export function labelling() {
  const store = document.getElementById("galclass-report");
  const report = JSON.parse(store.textContent);
  const author = document.getElementById("author");
  const told = document.getElementById("told");
  const selects = [...document.querySelectorAll("select[data-image]")];
  const labels = new Map(report.labels.map((one) => [one.object_id + "\n" + one.size_bytes, one]));
  const keyOf = (image) => image.object_id + "\n" + image.size_bytes;
  let saved = true;
  for (const select of selects) {
    const image = report.images[select.dataset.image];
    select.value = labels.get(keyOf(image))?.label ?? "";
    select.addEventListener("change", () => {
      if (select.value) labels.set(keyOf(image), { ...image, label: select.value, labelled_at: new Date().toISOString() });
      else labels.delete(keyOf(image));
      saved = false;
      told.textContent = labels.size + " of " + selects.length + " labelled, not saved yet.";
    });
  }
  author.value = report.author;
  const save = (text, name, type) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    saved = true;
    told.textContent = labels.size + " labels saved.";
  };
  const complete = () => {
    report.author = author.value.trim();
    report.labels = [...labels.values()];
    if (!report.author) {
      told.textContent = "Write your name first.";
      author.focus();
    }
    return report.author;
  };
  document.getElementById("save-labels").addEventListener("click", () => {
    if (complete()) save(JSON.stringify({ format: "galclass-labels", version: report.version, author: report.author, labels: report.labels }, null, 1), "galclass-labels.json", "application/json");
  });
  document.getElementById("save-report").addEventListener("click", () => {
    if (!complete()) return;
    store.textContent = JSON.stringify(report).replaceAll("<", "\\u003c");
    save("<!doctype html>\n" + document.documentElement.outerHTML, "galclass-report.html", "text/html");
  });
  window.addEventListener("beforeunload", (event) => saved || event.preventDefault());
}
