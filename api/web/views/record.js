// One record: its trace, what a model reads in it, and what a reference says.

import { BeatTip } from "../ecg/beat_tip.js";
import { Jumps } from "../ecg/jumps.js";
import { keyTable, listenToKeys } from "../ecg/keys.js";
import { Layouts } from "../ecg/layouts.js";
import { Overview } from "../ecg/overview.js";
import { spanAtPaperSpeed } from "../ecg/paper.js";
import { Reading } from "../ecg/reading.js";
import { SignalTiles } from "../ecg/signal_tiles.js";
import { ViewWindow } from "../ecg/view_window.js";
import { announce } from "../parts/announce.js";
import { BeatTable } from "../parts/beat_table.js";
import { el, fill } from "../parts/dom.js";
import { count, duration, trimmed } from "../parts/format.js";
import { showKeyHelp } from "../parts/key_help.js";
import { failure } from "../parts/notices.js";
import { PredictionPanel } from "../parts/prediction_panel.js";
import { ReferencePanel } from "../parts/reference_panel.js";
import { removeButton } from "../parts/removal.js";
import { RiskPanel } from "../parts/risk_panel.js";
import { SummaryPanel } from "../parts/summary_panel.js";
import { traceTools } from "../parts/trace_tools.js";
import { jsonWhenReached } from "../service/http.js";
import { removal } from "./records.js";

const FIRST_SPAN_S = 10;

export async function recordView(main, [recordId], signal) {
  const record = await jsonWhenReached(`v1/records/${recordId}`, { signal });
  document.title = `${record.name} · Ectopy`;
  const view = new ViewWindow(record.duration_s, 0, FIRST_SPAN_S);
  const reading = new Reading();
  const tiles = new SignalTiles(record);
  const tip = new BeatTip(reading);
  const trace = new Layouts({ record, view, reading, tiles, tip });
  const overview = new Overview({ view, reading });
  const jumps = new Jumps({ view, reading });
  const workplace = { record, view, reading, tiles, trace, overview, jumps, signal };
  const keys = keyTable({ view, jumps, actions: actions(workplace, () => showKeyHelp(keys)) });
  layOut(main, workplace, keys);
  listenToKeys(keys, signal);
  signal.addEventListener("abort", () => [trace, overview, tiles].forEach((part) => part.close()));
  await begin(workplace);
}

function actions({ view, reading, trace }, help) {
  return {
    help,
    paperSpeed: () => view.zoom(spanAtPaperSpeed(trace.plotWidth) / view.span_s),
    otherLayout: () => {
      if (!trace.sheet) return announce("The sheet needs the twelve leads in millivolts");
      trace.choose(!trace.isSheet);
      return announce(trace.isSheet ? "12-lead sheet" : "Leads one below the other");
    },
    toggleReference: () => {
      if (!reading.reference) return announce("This record came without reference annotations");
      reading.showReference(!reading.reference.shown);
      return announce(`Reference annotations ${reading.reference.shown ? "on" : "off"}`);
    },
    release: () => reading.select(-1),
  };
}

function layOut(main, workplace, keys) {
  const { record, trace, overview, jumps, view, reading, signal } = workplace;
  const summary = new SummaryPanel(reading, jumps);
  const prediction = new PredictionPanel(record, { task: "beats", signal, show: (found) => {
    reading.setResult(found.result);
    summary.show(found);
    announce(`${count(reading.beats.length)} beats read by ${found.model.name} version ${found.model.version}`);
  } });
  const risk = trace.sheet ? riskPanels(workplace) : [];
  const reference = new ReferencePanel({ record, reading, jumps });
  const table = new BeatTable({ reading, jumps });
  workplace.prediction = prediction;
  workplace.failures = el("div");
  fill(
    main,
    el(
      "div",
      { class: "workplace" },
      header(record),
      workplace.failures,
      el("div", { class: "workplace-main" },
        el("section", { class: "card trace-card", "aria-label": "Trace" },
          traceTools({ trace, view, reading, jumps, help: () => showKeyHelp(keys) }), trace.element, trace.tip.line),
        overview.element,
        table.element),
      el("aside", { class: "workplace-side", "aria-label": "Result" }, summary.element, prediction.element, ...risk, reference.element),
    ),
  );
}

/** With twelve leads there is a second task. */
function riskPanels(workplace) {
  const { record, view, signal } = workplace;
  const panel = new RiskPanel((start_s) => view.glide(start_s));
  workplace.risk = new PredictionPanel(record, { task: "afib-5y", signal, show: (found) => panel.show(found) });
  return [panel.element, workplace.risk.element];
}

function header(record) {
  const facts = [
    `${record.leads.length} lead${record.leads.length > 1 ? "s" : ""}`,
    duration(record.duration_s),
    `${trimmed(record.sampling_rate_hz, 2)} Hz`,
    record.format.toUpperCase(),
    record.patient_id ? `patient ${record.patient_id}` : null,
  ].filter(Boolean);
  const removed = () => (location.hash = "#/records");
  return el(
    "div",
    { class: "workplace-head" },
    el("div", {}, el("p", { class: "crumbs" }, el("a", { href: "#/records", text: "Records" })),
      el("h1", { text: record.name }), el("p", { class: "hint", text: facts.join(" · ") }),
      record.notes.map((note) => el("p", { class: "notice small", text: note }))),
    recordFiles(record),
    removeButton(removal(record, removed)),
  );
}

/** The record itself, in the formats that other programs read. */
function recordFiles({ id }) {
  const link = (format, text) => el("a", { class: "button", href: `v1/records/${id}/download?format=${format}`, download: true, text });
  return el("details", { class: "record-files" }, el("summary", { text: "Files of this record" }),
    el("div", { class: "buttons" }, link("wfdb", "WFDB"), link("edf", "EDF+")));
}

/** Signal, reference and prediction come each in their time; what fails is said and the rest stays. */
async function begin(workplace) {
  const { record, trace, view, overview, reading, prediction, risk, tiles, signal } = workplace;
  tiles.addEventListener("refused", ({ detail }) => say(workplace, detail));
  const parts = [
    trace.start().then(() => trace.isSheet || view.set(0, Math.min(spanAtPaperSpeed(trace.plotWidth), record.duration_s))),
    prediction.begin(),
    risk?.begin() ?? Promise.resolve(),
  ];
  if (record.has_annotations) {
    const path = `v1/records/${record.id}/annotations`;
    parts.push(jsonWhenReached(path, { signal }).then((found) => reading.setAnnotations(found)));
  }
  overview.layOut();
  for (const part of parts) part.catch((error) => signal.aborted || say(workplace, error));
  await Promise.allSettled(parts);
}

function say({ failures }, error) {
  failures.append(failure(error, { retry: () => location.reload(), label: "Load again" }));
}
