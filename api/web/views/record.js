// One record: its trace, what a model reads in it, and what a reference says.

import { BeatTip } from "../ecg/beat_tip.js";
import { Jumps } from "../ecg/jumps.js";
import { keyTable, listenToKeys } from "../ecg/keys.js";
import { Overview } from "../ecg/overview.js";
import { spanAtPaperSpeed } from "../ecg/paper.js";
import { Reading } from "../ecg/reading.js";
import { SignalTiles } from "../ecg/signal_tiles.js";
import { Trace } from "../ecg/trace.js";
import { ViewWindow } from "../ecg/view_window.js";
import { announce } from "../parts/announce.js";
import { BeatTable } from "../parts/beat_table.js";
import { el, fill } from "../parts/dom.js";
import { duration, trimmed } from "../parts/format.js";
import { showKeyHelp } from "../parts/key_help.js";
import { failure } from "../parts/notices.js";
import { PredictionPanel } from "../parts/prediction_panel.js";
import { ReferencePanel } from "../parts/reference_panel.js";
import { SummaryPanel } from "../parts/summary_panel.js";
import { traceTools } from "../parts/trace_tools.js";
import { jsonWhenReached } from "../service/http.js";
import { remove } from "./records.js";

const FIRST_SPAN_S = 10;

export async function recordView(main, [recordId], signal) {
  const record = await jsonWhenReached(`v1/records/${recordId}`, { signal });
  document.title = `${record.name} · Ectopy`;
  const view = new ViewWindow(record.duration_s, 0, FIRST_SPAN_S);
  const reading = new Reading();
  const tiles = new SignalTiles(record);
  const tip = new BeatTip(reading);
  const trace = new Trace({ record, view, reading, tiles, tip });
  trace.element.append(tip.element);
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
  const prediction = new PredictionPanel(record, { reading, summary, signal });
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
      el("aside", { class: "workplace-side", "aria-label": "Result" }, prediction.element, summary.element, reference.element),
    ),
  );
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
    el("button", { type: "button", class: "quiet danger-text", text: "Remove", "aria-label": `Remove ${record.name}`, onclick: () => remove(record, removed) }),
  );
}

/** Signal, reference and prediction come each in their time; what fails is said and the rest stays. */
async function begin(workplace) {
  const { record, trace, view, overview, reading, prediction, tiles, signal } = workplace;
  tiles.addEventListener("refused", ({ detail }) => say(workplace, detail));
  const parts = [
    trace.start().then(() => view.set(0, Math.min(spanAtPaperSpeed(trace.plotWidth), record.duration_s))),
    prediction.begin(),
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
