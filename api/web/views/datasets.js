// Datasets: all of them, and one with its counts, what was left out and its leakage audit.

import { classesOf } from "../ecg/classes.js";
import { classesTable } from "../parts/classes_table.js";
import { el, fill } from "../parts/dom.js";
import { count, moment, several } from "../parts/format.js";
import { cell, PagedTable } from "../parts/paged_table.js";
import { removeButton } from "../parts/removal.js";
import { json, jsonWhenReached } from "../service/http.js";

export const TASK_NAMES = { beats: "Beats", "afib-5y": "AFIB-5Y" };
const FINDINGS = {
  same_waveform: "The same signal more than once",
  labels_disagree: "The same signal with different labels",
  patient_spelled_differently: "One patient, spelled in different ways",
  records_known_to_be_of_one_patient: "Records known to be of one patient",
  patient_unknown: "Records without a patient",
  trained_on: "Records that a model was trained on",
};
const MANY = 12;

export async function datasetsView(main, _, signal) {
  document.title = "Datasets · Ectopy";
  const list = new PagedTable({
    path: "v1/datasets", row, signal, label: "Datasets", older: "Older datasets", empty: nothingYet,
    heads: ["Dataset", "Task", "Records", "Patients", "Content", "Left out", "Made", ""],
  });
  fill(main, el("div", { class: "page" },
    el("div", { class: "page-head card-head" }, el("h1", { text: "Datasets" }), el("a", { class: "button primary", href: "#/datasets/new", text: "New dataset" })),
    el("p", { class: "hint", text: "Labelled records that a model can be fine-tuned on and measured with." }),
    list.element));
  await list.load();
}

function row(dataset, again) {
  const content = classesOf(dataset.counts).map(({ label }) => `${label} ${count(dataset.counts[label])}`).join("  ");
  return el("tr", {},
    el("th", { scope: "row" }, el("a", { href: `#/datasets/${dataset.id}`, text: dataset.name })),
    cell("Task", TASK_NAMES[dataset.task]),
    cell("Records", count(dataset.records)),
    cell("Patients", count(dataset.patients)),
    cell("Content", content),
    cell("Left out", count(dataset.left_out_count)),
    cell("Made", moment(dataset.created_at)),
    el("td", { class: "row-tools" }, removeButton(removal(dataset, again))));
}

function removal({ id, name }, removed) {
  return { path: `v1/datasets/${id}`, name, detail: "Its records stay. Models that were trained on it keep its content hash.", removed };
}

function nothingYet() {
  return el("div", { class: "empty" },
    el("p", {}, el("strong", { text: "No datasets yet." })),
    el("p", { class: "hint", text: "Make one of records that came with reference annotations, or of a .zip." }),
    el("p", {}, el("a", { class: "button", href: "#/datasets/new", text: "New dataset" })));
}

export async function datasetView(main, [id], signal) {
  const dataset = await jsonWhenReached(`v1/datasets/${id}`, { signal });
  document.title = `${dataset.name} · Ectopy`;
  const gone = () => (location.hash = "#/datasets");
  fill(main, el("div", { class: "page" },
    el("div", { class: "card-head" },
      el("div", {}, el("p", { class: "crumbs" }, el("a", { href: "#/datasets", text: "Datasets" })), el("h1", { text: dataset.name }),
        el("p", { class: "hint", text: `${TASK_NAMES[dataset.task]} · ${several(dataset.records, "record")} of ${several(dataset.patients, "patient")} · made ${moment(dataset.created_at)}` })),
      el("div", { class: "buttons" }, removeButton(removal(dataset, gone)),
        dataset.records ? el("a", { class: "button primary", href: `#/fine-tunes/new/${dataset.id}`, text: "Fine-tune on it" }) : null)),
    el("section", { class: "card padded" }, el("h2", { text: "Content" }),
      classesTable(dataset.counts, dataset.task === "beats" ? "Beats" : "Records"),
      el("p", { class: "hint" }, "SHA-256 of records, annotations, labels and patients: ", el("code", { text: dataset.sha256 }))),
    auditSection(dataset.audit),
    leftOutSection(dataset)));
}

function auditSection({ findings, not_compared, compared_with }) {
  const shown = findings.map(({ kind, records, names, detail }) =>
    el("li", {}, el("strong", { text: FINDINGS[kind] ?? kind.replaceAll("_", " ") }), el("p", { text: detail }), recordLinks(records, names)));
  return el("section", { class: "card padded audit" },
    el("h2", { text: "Leakage audit" }),
    el("p", { class: "hint", text: "What could let a model be measured on patients that it was trained on. Records found to be of one patient count as one, and stay together when the dataset is split." }),
    shown.length ? el("ul", { class: "findings plain" }, shown) : el("p", { text: "Nothing was found." }),
    not_compared ? el("p", { class: "hint", text: `${count(not_compared)} records have too few beats to be known again if they were there twice.` }) : null,
    compared_with.length
      ? el("ul", { class: "hint compared" }, compared_with.map(({ model, version, how }) =>
          el("li", { text: how === "unknown" ? `Nothing is known of what ${model}@${version} was trained on.` : `Compared with the training records of ${model}@${version}: ${how}.` })))
      : null);
}

function recordLinks(records, names) {
  const link = (id, i) => el("li", {}, el("a", { href: `#/records/${id}`, text: names[i] ?? id }));
  const list = (from, to) => records.slice(from, to).map((id, i) => link(id, from + i));
  if (records.length <= MANY) return el("ul", { class: "inline plain" }, list(0, MANY));
  return el("details", {}, el("summary", { text: `${count(records.length)} records` }), el("ul", { class: "inline plain" }, list(0, records.length)));
}

function leftOutSection({ left_out, left_out_count }) {
  if (!left_out_count) return el("section", { class: "card padded" }, el("h2", { text: "Left out" }), el("p", { text: "Nothing: every file became a part of it." }));
  const byReason = Map.groupBy(left_out, ({ reason }) => reason);
  const parts = [...byReason].map(([reason, files]) => el("tr", {},
    el("th", { scope: "row", text: reason }), el("td", { class: "number", text: count(files.length) }),
    el("td", {}, fileNames(files))));
  return el("section", { class: "card padded" },
    el("h2", { text: `Left out: ${count(left_out_count)}` }),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Left out" }, el("table", { class: "figures left-out" },
      el("thead", {}, el("tr", {}, ["Why", "Files", "Which"].map((text) => el("th", { scope: "col", text })))),
      el("tbody", {}, parts))));
}

function fileNames(files) {
  // of records that were here the service gives the ids
  if (files.every(({ file }) => file.startsWith("rec_"))) return recordNames(files.map(({ file }) => file));
  const named = files.map((one) => (one.with?.length ? `${one.file} (with ${one.with.join(", ")})` : one.file));
  const text = (list) => list.join(", ");
  if (named.length <= MANY) return text(named);
  return el("details", {}, el("summary", { text: `${text(named.slice(0, 3))} …` }), el("p", { text: text(named.slice(3)) }));
}

/** Links that say a record's name once it is known. */
function recordNames(ids) {
  const list = recordLinks(ids, []);
  for (const [i, link] of [...list.querySelectorAll("a")].slice(0, MANY).entries())
    json(`v1/records/${ids[i]}`).then((record) => (link.textContent = record.name)).catch(() => {});
  return list;
}
