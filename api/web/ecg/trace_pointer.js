// Mouse, touch and wheel on the trace: drag pans, two fingers or the wheel zoom, hovering shows a beat.

const NEAR_PX = 14;
const CLICK_PX = 4;
const WHEEL_ZOOM = 0.0016;
const PINCH_WHEEL_ZOOM = 0.01;
const LINE_PX = 16;

export function followPointer(trace) {
  const { element, view } = trace;
  const fingers = new Map();
  let drag = null;

  element.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    fingers.set(event.pointerId, event.clientX);
    element.setPointerCapture(event.pointerId);
    drag = began(fingers, view);
  });
  element.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return hover(trace, event);
    fingers.set(event.pointerId, event.clientX);
    return moved(trace, fingers, drag);
  });
  const up = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    if (!fingers.size && drag.travel < CLICK_PX) click(trace, event);
    drag = fingers.size ? began(fingers, view) : null;
    element.classList.remove("dragged");
  };
  element.addEventListener("pointerup", up);
  element.addEventListener("pointercancel", up);
  element.addEventListener("pointerleave", () => trace.tip.hover(-1));
  element.addEventListener("dblclick", (event) => view.zoom(0.4, trace.timeAt(event.clientX)));
  element.addEventListener("wheel", (event) => wheel(trace, event), { passive: false });
}

function began(fingers, view) {
  const at = [...fingers.values()];
  return { at, start_s: view.start_s, span_s: view.span_s, travel: 0 };
}

function moved(trace, fingers, drag) {
  const { view } = trace;
  const now = [...fingers.values()];
  const perPixel = drag.span_s / trace.plotWidth;
  drag.travel = Math.max(drag.travel, Math.abs(now[0] - drag.at[0]));
  if (drag.travel < CLICK_PX) return;
  trace.element.classList.add("dragged");
  if (now.length < 2) return view.set(drag.start_s - (now[0] - drag.at[0]) * perPixel);
  const apart = (pair) => Math.max(Math.abs(pair[0] - pair[1]), 20);
  const span_s = (drag.span_s * apart(drag.at)) / apart(now);
  const left = trace.element.getBoundingClientRect().left + trace.element.clientWidth - trace.plotWidth;
  const middle = (pair) => (pair[0] + pair[1]) / 2 - left;
  const held_s = drag.start_s + middle(drag.at) * perPixel;
  return view.set(held_s - middle(now) * (span_s / trace.plotWidth), span_s);
}

/** Without a modifier the wheel scrolls the page, until the trace was clicked. */
function wheel(trace, event) {
  const unit = event.deltaMode ? LINE_PX : 1;
  const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    event.preventDefault();
    trace.view.set(trace.view.start_s + (sideways * unit * trace.view.span_s) / trace.plotWidth);
  } else if (event.ctrlKey || event.metaKey || document.activeElement === trace.element) {
    event.preventDefault();
    const rate = event.ctrlKey ? PINCH_WHEEL_ZOOM : WHEEL_ZOOM;
    const factor = Math.exp(Math.max(Math.min(event.deltaY * unit * rate, 0.7), -0.7));
    trace.view.zoom(factor, trace.timeAt(event.clientX), { glide: false });
  }
}

function beatAt(trace, clientX) {
  const { beats } = trace.reading;
  if (!beats) return -1;
  const seconds = trace.timeAt(clientX);
  const near = beats.nearest(seconds);
  const away = near < 0 ? Infinity : Math.abs(beats.time[near] - seconds);
  return away * (trace.plotWidth / trace.view.span_s) < NEAR_PX ? near : -1;
}

function hover(trace, event) {
  trace.tip.hover(beatAt(trace, event.clientX));
  trace.tip.place(trace);
}

function click(trace, event) {
  if (event.type !== "pointerup") return;
  trace.reading.select(beatAt(trace, event.clientX));
}
