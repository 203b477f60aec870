// Pictures: enlarged in a dialog, in which arrows lead to other pictures of the section; outlines can be hidden.

const viewer = document.getElementById("viewer");
const keysDialog = document.getElementById("keys");
const outlineButtons = [document.getElementById("outlines"), viewer.querySelector("[data-do=outlines]")];
let enlarged = null; // the element with data-picture whose picture is shown

const hasOutlines = document.querySelector("svg.outlines") !== null;
for (const button of outlineButtons) button.hidden = !hasOutlines;

function toggleOutlines() {
  const hidden = root.classList.toggle("no-outlines");
  for (const button of outlineButtons) button.setAttribute("aria-pressed", String(!hidden));
}

// The pictures of the same section that no filter hides.
function picturesBeside(item) {
  const all = item.closest("section").querySelectorAll("[data-picture]");
  return [...all].filter((other) => !other.hidden && other.querySelector(".enlarge"));
}

function enlarge(item) {
  enlarged = item;
  const drawing = item.querySelector(".drawing").cloneNode(true);
  const image = drawing.querySelector("img");
  image.loading = "eager";
  // As large as the window allows, for any shape of the picture.
  const ratio = image.getAttribute("width") / image.getAttribute("height");
  drawing.style.width = `min(100%, calc((100dvh - 13rem) * ${ratio}))`;
  viewer.querySelector(".large").replaceChildren(drawing);
  const others = picturesBeside(item);
  const words = item.classList.contains("entry")
    ? [`${item.getAttribute("aria-label")}.`, ...[...item.querySelectorAll(".what li")].map((line) => line.firstChild.data.trim())]
    : [item.querySelector("figcaption").textContent.trim().replace(/\s+/g, " ")];
  viewer.querySelector(".caption").textContent = `${words.join(" ")} (${others.indexOf(item) + 1} of ${others.length})`;
  viewer.querySelector(".choose").hidden = !item.classList.contains("entry");
  showChoice(viewer, item.dataset.choice);
  viewer.querySelector("[data-do=previous]").disabled = others[0] === item;
  viewer.querySelector("[data-do=next]").disabled = others.at(-1) === item;
  if (!viewer.open) viewer.showModal();
}

function step(by) {
  const others = picturesBeside(enlarged);
  const next = others[others.indexOf(enlarged) + by];
  if (next) enlarge(next);
}

// Marks which of the buttons to keep and exclude is pressed, if any.
function showChoice(element, choice) {
  for (const button of element.querySelectorAll("[data-choose]")) {
    button.setAttribute("aria-pressed", String(button.dataset.choose === choice));
  }
}

for (const button of document.querySelectorAll("main .enlarge")) {
  button.addEventListener("click", () => enlarge(button.closest("[data-picture]")));
}
const actions = { previous: () => step(-1), next: () => step(1), outlines: toggleOutlines, close: () => viewer.close() };
viewer.addEventListener("click", (event) => {
  if (event.target === viewer) viewer.close(); // outside the picture
  actions[event.target.dataset.do]?.();
});
viewer.addEventListener("close", () => {
  const item = enlarged.classList.contains("entry") ? enlarged : enlarged.querySelector(".enlarge");
  item.focus({ preventScroll: true });
  item.scrollIntoView({ block: "nearest" });
});
outlineButtons[0].addEventListener("click", toggleOutlines);
document.getElementById("help").addEventListener("click", () => keysDialog.showModal());

// Whether a key belongs to text input or to a shortcut of the browser.
function isTyping(event) {
  return event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=file]), select, textarea");
}

document.addEventListener("keydown", (event) => {
  if (isTyping(event) || keysDialog.open) return;
  const does = {
    o: hasOutlines && toggleOutlines,
    "?": () => keysDialog.showModal(),
    ArrowLeft: viewer.open && (() => step(-1)),
    ArrowRight: viewer.open && (() => step(1)),
  }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});
