// The models that answer, and the card of a version: what it was trained on, how good, its limits.

import { el, fill } from "../parts/dom.js";
import { moment } from "../parts/format.js";
import { jsonWhenReached } from "../service/http.js";

export async function modelsView(main, _, signal) {
  document.title = "Models · Ectopy";
  const { data } = await jsonWhenReached("v1/models?limit=100", { signal });
  const rows = data.map((model) =>
    el("li", {}, el("a", { href: versionHref(model.name, model.promoted_version ?? 1), text: model.name }),
      el("span", { class: "hint", text: ` ${model.task} · answers: ${model.promoted_version ? `version ${model.promoted_version}` : "none"} of ${model.versions}` })));
  const none = el("p", { class: "hint", text: "No model is registered." });
  fill(main, el("div", { class: "page" }, el("h1", { text: "Models" }), rows.length ? el("ul", { class: "plain card models" }, rows) : none));
}

export async function modelView(main, [name, version], signal) {
  document.title = `${name} · Ectopy`;
  const path = `v1/models/${encodeURIComponent(name)}/versions/${version}`;
  const found = await jsonWhenReached(path, { signal });
  const facts = [["Task", found.task], ["Family", found.family], ["Registered", moment(found.created_at)],
    ["Answers when no model is named", found.promoted ? "yes" : "no"], ["SHA-256 of the weights", found.sha256]];
  fill(main, el("div", { class: "page" },
    el("p", { class: "crumbs" }, el("a", { href: "#/models", text: "Models" })),
    el("h1", { text: `${name} @ ${version}` }),
    found.synthetic ? el("p", { class: "notice", text: "Weights made by formula, for tests: this is no model of hearts." }) : null,
    el("dl", { class: "facts card" }, facts.map(([term, value]) => fact(term, value))),
    el("section", { class: "card model-card" }, el("h2", { text: "Model card" }), described(found.card))));
}

export function versionHref(name, version) {
  return `#/models/${encodeURIComponent(name)}/${version}`;
}

function fact(term, value) {
  return el("div", {}, el("dt", { text: words(term) }), el("dd", { text: String(value) }));
}

/** Whatever a card holds: tables for tables, lists for lists, text for the rest. */
function described(value) {
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
