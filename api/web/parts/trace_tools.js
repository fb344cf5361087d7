// The buttons over the trace: what the keys do, for a mouse or a finger, and the scale.

import { spanAtPaperSpeed } from "../ecg/paper.js";
import { el } from "./dom.js";
import { clock } from "./format.js";

const GAINS = [5, 10, 20];

export function traceTools({ trace, view, reading, jumps, help }) {
  const scale = el("output", { class: "scale", "aria-label": "Scale" });
  const place = el("span", { class: "place" });
  trace.addEventListener("drawn", () => {
    scale.textContent = trace.scaleText();
    place.textContent = `${clock(view.start_s, 1)} – ${clock(view.end_s, 1)}`;
  });
  const paper = () => view.zoom(spanAtPaperSpeed(trace.plotWidth) / view.span_s);
  const zooming = group("Zoom", [
    button("−", "Wider (-)", () => view.zoom(1.5)),
    button("+", "Closer (+)", () => view.zoom(1 / 1.5)),
    button("25 mm/s", "As on paper (0)", paper),
    button("All", "The whole record (w)", () => view.glide(0, view.duration_s)),
  ]);
  const jumping = group("Beats", [
    button("‹", "Previous beat that is not normal (p)", () => jumps.toAbnormal(-1)),
    el("span", { class: "tool-text", text: "not N" }),
    button("›", "Next beat that is not normal (n)", () => jumps.toAbnormal(1)),
    button("Least certain", "Next in the order of certainty (u)", () => jumps.toUncertain(1)),
  ]);
  jumping.hidden = true;
  reading.addEventListener("content", () => (jumping.hidden = !reading.beats));
  return el(
    "div",
    { class: "trace-tools", role: "toolbar", "aria-label": "Trace" },
    trace.sheet ? layoutChoice(trace, zooming) : null,
    zooming,
    gainChoice(trace),
    jumping,
    place,
    scale,
    button("?", "Keys (?)", help, "icon"),
  );
}

/** As a sheet or one below the other; on a sheet the scale is fixed, so zooming goes away. */
function layoutChoice(trace, zooming) {
  const sheet = button("12 leads", "12-lead sheet (l)", () => trace.choose(true));
  const stacked = button("Stacked", "Leads one below the other (l)", () => trace.choose(false));
  const show = () => {
    sheet.setAttribute("aria-pressed", String(trace.isSheet));
    stacked.setAttribute("aria-pressed", String(!trace.isSheet));
    zooming.hidden = trace.isSheet;
  };
  trace.addEventListener("layout", show);
  show();
  return group("Layout", [sheet, stacked]);
}

function gainChoice(trace) {
  const choice = el("select", { "aria-label": "Gain", onchange: () => trace.setGain(Number(choice.value)) },
    GAINS.map((gain) => el("option", { value: String(gain), text: `${gain} mm/mV` })));
  choice.value = String(trace.gain);
  return choice;
}

function group(label, children) {
  return el("div", { class: "segments", role: "group", "aria-label": label }, children);
}

function button(text, title, onclick, kind = null) {
  return el("button", { type: "button", text, title, "aria-label": title, onclick, class: kind });
}
