// The report of a fine-tune: how good on patients that training never saw, beside base and promoted model.

import { el } from "./dom.js";
import { several } from "./format.js";
import { beatParts } from "./report_beats.js";
import { interval, modelMark, ROLES } from "./report_figures.js";
import { riskParts } from "./report_risk.js";

const FIGURES = { macro_f1: "macro F1", auroc: "AUROC", brier: "Brier score" };
const VERDICTS = { better: "▲ better", worse: "▼ worse", "no different": "no different beyond chance" };

export class ReportPanel {
  /** id: of the fine-tune that the report is of. */
  constructor(report, id) {
    const link = (format, text) => el("a", { class: "button", href: `v1/fine-tunes/${id}/report?format=${format}`, download: `${report.models[0].name}-report.${format}`, text });
    const size = [several(report.records, "record"), several(report.patients, "patient"),
      report.task === "beats" ? several(report.beats, "beat") : several(report.events, "event")];
    this.element = el("section", { class: "card padded report", "aria-label": "Report" },
      el("div", { class: "card-head" }, el("h2", { text: "Report" }), el("div", { class: "buttons" }, link("html", "As one page (HTML)"), link("json", "JSON"))),
      el("p", { class: "research", text: "Research use only. Not a medical device." }),
      el("p", { class: "hint", text: `Measured on ${size.join(", ")} that this run did not train on. Intervals: 95 %, bootstrap by patient, ${report.bootstrap.draws} draws.` }),
      legend(report.models), verdicts(report), cautions(report),
      ...(report.task === "beats" ? beatParts(report) : riskParts(report)));
  }
}

function legend(models) {
  return el("ul", { class: "model-legend plain" }, models.map((model, i) =>
    el("li", {}, modelMark(i), ` ${ROLES[model.role] ?? model.role}: `, el("strong", { text: model.name }))));
}

function verdicts({ differences }) {
  if (!differences.length) return null;
  return el("ul", { class: "verdicts plain" }, differences.map((one) =>
    el("li", { class: one.verdict === "worse" ? "worse" : one.verdict === "better" ? "better" : null },
      el("strong", { text: VERDICTS[one.verdict] ?? one.verdict }),
      ` than ${one.against} (${one.role}): ${FIGURES[one.figure] ?? one.figure} ${interval(one.difference, { sign: true })}`)));
}

/** A patient without a name is told by the id of the record: its name says more. */
function cautions({ cautions, models }) {
  const names = new Map((models[0].by_record ?? []).map(({ record_id, name }) => [record_id, name]));
  const found = cautions.map((text) => text.replace(/rec_\w+/g, (id) => names.get(id) ?? id));
  if (!found.length) return null;
  return el("div", { class: "notice small" }, el("strong", { text: "Read with care" }), el("ul", {}, found.map((text) => el("li", { text }))));
}
