// All records: upload, list page by page, open, remove.

import { el, fill } from "../parts/dom.js";
import { count, duration, moment, trimmed } from "../parts/format.js";
import { cell, PagedTable } from "../parts/paged_table.js";
import { removeButton } from "../parts/removal.js";
import { UploadPanel } from "../parts/upload_panel.js";

export async function recordsView(main, _, signal) {
  document.title = "Records · Ectopy";
  const uploads = new UploadPanel(signal);
  const list = new PagedTable({
    path: "v1/records", row, signal, label: "Records", older: "Older records", empty: nothingYet,
    heads: ["Record", "Leads", "Length", "Rate", "Reference", "Stored", ""],
  });
  const heading = el("div", { class: "page-head" }, el("h1", { text: "Records" }));
  fill(main, el("div", { class: "page" }, heading, uploads.element, list.element));
  uploads.addEventListener("stored", ({ detail }) => {
    if (detail.alone) location.hash = `#/records/${detail.record.id}`;
    else list.load();
  });
  await list.load();
}

function row(record, again) {
  const leads = record.leads.map((lead) => lead.name);
  const shown = leads.length > 4 ? `${leads.slice(0, 3).join(", ")} + ${leads.length - 3}` : leads.join(", ");
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
    el("td", { class: "row-tools" }, removeButton(removal(record, again))),
  );
}

/** What the removal of a record asks and does. */
export function removal(record, removed) {
  return {
    path: `v1/records/${record.id}`,
    name: record.name,
    detail: `Its files (${count(record.n_samples)} samples a lead) and all its results are deleted. This cannot be undone.`,
    removed,
  };
}

function nothingYet() {
  return el("div", { class: "empty" },
    el("p", {}, el("strong", { text: "No records yet." })),
    el("p", { class: "hint" }, "Choose ", el("code", { text: "208_excerpt.hea" }), " and ", el("code", { text: "208_excerpt.dat" }),
      " from the folder ", el("code", { text: "examples" }), " to see five minutes with ventricular beats."));
}
