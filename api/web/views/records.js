// All records: upload, list page by page, open, remove.

import { announce } from "../parts/announce.js";
import { confirmed } from "../parts/confirm.js";
import { el, fill } from "../parts/dom.js";
import { count, duration, moment, trimmed } from "../parts/format.js";
import { failure } from "../parts/notices.js";
import { UploadPanel } from "../parts/upload_panel.js";
import { json, jsonWhenReached } from "../service/http.js";

const PAGE = 25;

export async function recordsView(main, _, signal) {
  const uploads = new UploadPanel(signal);
  const list = el("div", { class: "record-list" }, el("p", { class: "hint", text: "Loading …" }));
  const heading = el("div", { class: "page-head" }, el("h1", { text: "Records" }));
  fill(main, el("div", { class: "page" }, heading, uploads.element, list));
  document.title = "Records · Ectopy";
  uploads.addEventListener("stored", ({ detail }) => {
    if (detail.alone) location.hash = `#/records/${detail.record.id}`;
    else showPages(list, signal);
  });
  await showPages(list, signal);
}

async function showPages(list, signal) {
  const body = el("tbody");
  const more = el("div", { class: "more" });
  const first = await page(null, signal);
  if (!first.data.length) return fill(list, nothingYet());
  fill(list, table(body), more);
  return addPage(first, { body, more, list, signal });
}

function addPage(found, places) {
  const { body, more, list, signal } = places;
  body.append(...found.data.map((record) => row(record, () => showPages(list, signal))));
  const next = async () => {
    try {
      addPage(await page(found.next_cursor, signal), places);
    } catch (error) {
      fill(more, failure(error, { retry: next }));
    }
  };
  fill(more, found.next_cursor ? el("button", { type: "button", text: "Older records", onclick: next }) : null);
}

function page(cursor, signal) {
  const query = new URLSearchParams({ limit: PAGE, ...(cursor ? { cursor } : {}) });
  return jsonWhenReached(`v1/records?${query}`, { signal });
}

function table(body) {
  const heads = ["Record", "Leads", "Length", "Rate", "Reference", "Stored", ""];
  return el("div", { class: "card table-card" }, el("table", { class: "records" },
    el("thead", {}, el("tr", {}, heads.map((text) =>
      el("th", { scope: "col" }, text || el("span", { class: "visually-hidden", text: "Remove" }))))),
    body));
}

function row(record, changed) {
  const leads = record.leads.map((lead) => lead.name);
  const shown = leads.length > 4 ? `${leads.slice(0, 3).join(", ")} + ${leads.length - 3}` : leads.join(", ");
  const cell = (label, content, part = {}) => el("td", { "data-label": label, ...part }, content);
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, el("a", { href: `#/records/${record.id}`, text: record.name }),
      record.patient_id ? el("span", { class: "hint", text: ` ${record.patient_id}` }) : null),
    cell("Leads", shown, { title: leads.join(", ") }),
    cell("Length", duration(record.duration_s)),
    cell("Rate", `${trimmed(record.sampling_rate_hz, 2)} Hz`),
    cell("Reference", record.has_annotations ? "yes" : "–"),
    cell("Stored", moment(record.created_at)),
    el("td", { class: "row-tools" }, el("button", { type: "button", class: "quiet danger-text", text: "Remove",
      "aria-label": `Remove ${record.name}`, onclick: () => remove(record, changed) })),
  );
}

/** Asks, then removes; the problem of a removal that failed is said where the record is. */
export async function remove(record, changed) {
  const sure = await confirmed({
    title: `Remove ${record.name}?`,
    detail: `Its files (${count(record.n_samples)} samples a lead) and all its results are deleted. This cannot be undone.`,
    action: "Remove",
  });
  if (!sure) return;
  try {
    await json(`v1/records/${record.id}`, { method: "DELETE" });
    announce(`${record.name} was removed`);
    await changed();
  } catch (error) {
    document.getElementById("main").prepend(failure(error));
  }
}

function nothingYet() {
  return el("div", { class: "empty" },
    el("p", {}, el("strong", { text: "No records yet." })),
    el("p", { class: "hint" }, "Choose ", el("code", { text: "208_excerpt.hea" }), " and ", el("code", { text: "208_excerpt.dat" }),
      " from the folder ", el("code", { text: "examples" }), " to see five minutes with ventricular beats."));
}
