"use strict";
// page.js, pictures.js and review.js are one script in the page, and share their declarations.

const root = document.documentElement;

// The theme: that of the system, until the user chooses one.
document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : window.matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

// The header stays on top, so the targets of links and keys must stop below it.
const header = document.querySelector("header");
new ResizeObserver(() => (root.style.scrollPaddingTop = `${header.offsetHeight + 8}px`)).observe(header);

// The navigation marks the section that is being read: the last one whose top has passed the header.
const links = [...document.querySelectorAll("nav a")];
const strip = document.querySelector("nav");
const markSection = () => {
  const passed = links.filter((link) => {
    const section = document.querySelector(link.hash);
    return section.getBoundingClientRect().top < header.offsetHeight + 80;
  });
  const current = passed.at(-1) ?? links[0];
  for (const link of links) {
    if (link === current) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  strip.scrollLeft = current.offsetLeft - strip.offsetLeft - strip.offsetWidth / 3; // if not all links fit
};
document.addEventListener("scroll", markSection, { passive: true });
markSection();

// Filters: each form filters the entries of one section. A text field searches for its text anywhere. The values of a
// select begin with "=", to distinguish an empty value from "all".
for (const form of document.querySelectorAll("form.filters")) {
  const items = [...document.querySelectorAll(form.dataset.items)];
  const told = form.querySelector("output");
  const matches = (item, field) => {
    const value = item.dataset[field.name];
    if (field.tagName !== "SELECT") return value.toLowerCase().includes(field.value.toLowerCase());
    const wanted = field.value.slice(1);
    return field.name === "rule" ? value.split(" ").includes(wanted) : value === wanted;
  };
  const apply = () => {
    const wanted = [...form.elements].filter((field) => field.name && field.value !== "");
    let shown = 0;
    for (const item of items) {
      item.hidden = !wanted.every((field) => matches(item, field));
      shown += !item.hidden;
    }
    told.textContent = `${shown} of ${items.length} shown`;
    form.nextElementSibling.hidden = shown > 0 || items.length === 0;
  };
  for (const change of ["input", "change"]) form.addEventListener(change, apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
}
