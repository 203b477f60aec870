// Suspicious annotations: each is kept or excluded; the excluded ones are saved as flags.csv for build-targets.

const COLUMNS = ["image", "row", "cell_type", "rule", "value", "threshold", "note"];
const findings = document.getElementById("findings");
const entries = [...document.querySelectorAll(".entry")]; // worst first, regardless of later sorting
const chosen = document.getElementById("chosen");
const storageKey = `cellprep:${findings?.dataset.key}`; // each list of findings has its own key
let latest = null; // the entry that last had the focus

function tellChosen(first = "") {
  const number = (choice) => entries.filter((entry) => entry.dataset.choice === choice).length;
  const counts = `${number("exclude")} excluded, ${number("keep")} kept, ${number("")} undecided`;
  chosen.textContent = first ? `${first}. ${counts}` : counts;
}

function mark(entry, choice) {
  entry.dataset.choice = choice;
  showChoice(entry, choice);
  if (entry === enlarged) showChoice(viewer, choice);
}

// Some browsers store nothing for local files, or run out of space: then choices last as long as the page is open.
function save(message) {
  const choices = entries.filter((entry) => entry.dataset.choice).map((entry) => [entry.dataset.key, entry.dataset.choice]);
  try {
    localStorage.setItem(storageKey, JSON.stringify(choices));
    tellChosen(message);
  } catch {
    tellChosen(message || "This browser does not remember choices: download flags.csv before you leave");
  }
}

function recall() {
  try {
    const choices = new Map(JSON.parse(localStorage.getItem(storageKey) ?? "[]"));
    for (const entry of entries) mark(entry, choices.get(entry.dataset.key) ?? "");
  } catch {
    // Unreadable choices are ignored.
  }
  tellChosen();
}

function choose(entry, choice) {
  mark(entry, choice);
  save();
}

// The entries that no filter hides, in the order shown.
const shownEntries = () => [...document.querySelectorAll(".entry")].filter((entry) => !entry.hidden);

function moveTo(entry) {
  if (!entry) return;
  entry.focus({ preventScroll: true });
  entry.scrollIntoView({ block: "nearest" });
}

function move(by) {
  const shown = shownEntries();
  moveTo(shown[latest && !latest.hidden ? shown.indexOf(latest) + by : 0]);
}

// With a key: choose and go to the next, in the page or in the dialog.
function chooseByKey(choice) {
  const entry = viewer.open ? enlarged : document.activeElement.closest(".entry");
  if (!entry?.classList.contains("entry")) return;
  choose(entry, choice);
  if (choice === "") return;
  if (viewer.open) step(1);
  else move(1);
}

function quoted(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function flagsCsv() {
  const lines = [COLUMNS];
  for (const entry of entries.filter((one) => one.dataset.choice === "exclude")) {
    const [image, row] = JSON.parse(entry.dataset.key);
    for (const { dataset } of entry.querySelectorAll(".what li")) {
      lines.push([image, row ?? "", entry.dataset.type, dataset.rule, dataset.value, dataset.threshold, dataset.note]);
    }
  }
  return lines.map((line) => line.map((value) => quoted(String(value))).join(",") + "\n").join("");
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([flagsCsv()], { type: "text/csv" }));
  link.download = "flags.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// Lines of a CSV; a quoted value may contain commas, line breaks and doubled quotes.
function readCsv(text) {
  const lines = [[""]];
  let inQuotes = false;
  for (const [sign] of text.replace(/^\uFEFF/, "").matchAll(/""|\r?\n|[^]/g)) {
    const line = lines.at(-1);
    if (sign === '"') inQuotes = !inQuotes;
    else if (sign === '""') line[line.length - 1] += inQuotes ? '"' : "";
    else if (sign === "," && !inQuotes) line.push("");
    else if (sign.endsWith("\n") && !inQuotes) lines.push([""]);
    else line[line.length - 1] += sign;
  }
  return lines.filter((line) => line.length > 1 || line[0] !== "");
}

// Entries in the file become excluded, other excluded entries become undecided, and kept entries stay kept.
function load(text) {
  const [head = [], ...lines] = readCsv(text);
  const [image, row] = ["image", "row"].map((name) => head.indexOf(name));
  if (image < 0 || row < 0) return tellChosen("This file has no columns image and row, so it was not loaded");
  const key = (id, number) => JSON.stringify([id.normalize("NFC"), number]);
  const byKey = new Map(entries.map((entry) => [key(...JSON.parse(entry.dataset.key)), entry]));
  for (const entry of entries) if (entry.dataset.choice === "exclude") mark(entry, "");
  const unknown = new Set();
  for (const line of lines) {
    const named = key(line[image], (line[row] ?? "").trim() === "" ? null : Number(line[row]));
    const entry = byKey.get(named);
    if (entry) mark(entry, "exclude");
    else unknown.add(named);
  }
  const left = unknown.size ? `, but ${unknown.size} that it names are not on this page` : "";
  save(`Loaded${left}`);
}

if (entries.length) {
  recall();
  findings.addEventListener("focusin", (event) => (latest = event.target.closest(".entry") ?? latest));
  for (const place of [findings, viewer]) {
    place.addEventListener("click", ({ target }) => {
      const choice = target.dataset.choose;
      const entry = place === viewer ? enlarged : target.closest(".entry");
      if (choice) choose(entry, entry.dataset.choice === choice ? "" : choice); // a second click undoes it
    });
  }
  for (const button of document.querySelectorAll("[data-all]")) {
    button.addEventListener("click", () => {
      const undecided = shownEntries().filter((entry) => entry.dataset.choice === "");
      for (const entry of undecided) mark(entry, button.dataset.all);
      save();
    });
  }
  document.getElementById("download").addEventListener("click", download);
  document.getElementById("load").addEventListener("change", async ({ target }) => {
    load(await target.files[0].text());
    target.value = ""; // allows loading the same file again
  });
  const order = document.getElementById("order");
  const reorder = () => {
    const compare = (a, b) => (order.value ? a.dataset[order.value].localeCompare(b.dataset[order.value]) : 0);
    findings.querySelector(".entries").append(...[...entries].sort(compare)); // equal entries stay worst first
  };
  order.addEventListener("change", reorder);
  order.form.addEventListener("reset", () => setTimeout(reorder));
  document.addEventListener("keydown", (event) => {
    if (isTyping(event) || keysDialog.open) return;
    const entry = document.activeElement.matches(".entry") ? document.activeElement : null;
    const does = {
      j: () => (viewer.open ? step(1) : move(1)),
      k: () => (viewer.open ? step(-1) : move(-1)),
      x: () => chooseByKey("exclude"),
      v: () => chooseByKey("keep"),
      u: () => chooseByKey(""),
      Enter: !viewer.open && entry?.querySelector(".enlarge") && (() => enlarge(entry)),
    }[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  });
}
