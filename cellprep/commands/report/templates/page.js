"use strict";
// The theme: what the system wants, until somebody chooses.
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : window.matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

// Sorting: the button in a column's head; equal rows keep their order.
for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const column = [...head.parentNode.children].indexOf(head);
    const rising = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const body = head.closest("table").tBodies[0];
    const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const numeric = head.dataset.kind === "number";
    const number = (text) => (text === "" ? -Infinity : Number(text));
    const compare = (a, b) => (numeric ? number(key(a)) - number(key(b)) || 0 : key(a).localeCompare(key(b)));
    body.append(...[...body.rows].sort((a, b) => (rising ? compare(a, b) : compare(b, a))));
  });
}

// Filters: each form is about the rows or items of one section.
for (const form of document.querySelectorAll("form.filters")) {
  const items = [...document.querySelectorAll(form.dataset.items)];
  const told = form.querySelector("output");
  const apply = () => {
    const wanted = [...form.elements].filter((field) => field.name && field.value !== "");
    let shown = 0;
    for (const item of items) {
      item.hidden = !wanted.every((field) =>
        field.tagName === "SELECT"
          ? item.dataset[field.name] === field.value.slice(1)
          : item.dataset[field.name].toLowerCase().includes(field.value.toLowerCase()),
      );
      shown += !item.hidden;
    }
    told.textContent = `${shown} of ${items.length} shown`;
  };
  for (const change of ["input", "change"]) form.addEventListener(change, apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
}
