// Whatever a model's card holds, as text, lists and tables.

import { el } from "./dom.js";

/** Whatever a card holds: tables for tables, lists for lists, text for the rest. */
export function described(value) {
  if (Array.isArray(value)) return listed(value);
  if (value !== null && typeof value === "object") {
    return isTable(value) ? tabled(value) : el("dl", { class: "nested" }, Object.entries(value).map(([key, one]) =>
      el("div", {}, el("dt", { text: words(key) }), el("dd", {}, described(one)))));
  }
  return document.createTextNode(shown(value));
}

function listed(values) {
  if (values.every((one) => typeof one !== "object")) return document.createTextNode(values.map(shown).join(", "));
  return el("ul", {}, values.map((one) => el("li", {}, described(one))));
}

/** An object of objects that have the same plain fields, such as figures for each class. */
function isTable(value) {
  const rows = Object.values(value);
  const fields = (row) => row && typeof row === "object" && !Array.isArray(row) ? Object.keys(row).join() : "";
  const plain = (row) => Object.values(row).every((one) => one === null || typeof one !== "object");
  return rows.length > 1 && fields(rows[0]) !== "" && rows.every((row) => fields(row) === fields(rows[0]) && plain(row));
}

function tabled(value) {
  const fields = Object.keys(Object.values(value)[0]);
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Figures" }, el("table", { class: "figures" },
    el("thead", {}, el("tr", {}, el("td"), fields.map((field) => el("th", { scope: "col", text: words(field) })))),
    el("tbody", {}, Object.entries(value).map(([name, row]) =>
      el("tr", {}, el("th", { scope: "row", text: words(name) }), fields.map((field) => el("td", { text: shown(row[field]) })))))));
}

function words(name) {
  return name.replaceAll("_", " ");
}

function shown(value) {
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(4)));
  return value === null ? "–" : String(value);
}
