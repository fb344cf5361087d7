// A class's shape, color and letter as a small drawing in a text.

import { shapePath } from "../ecg/classes.js";
import { color, themeChanges } from "./theme.js";

const SIZE = 20;

export function swatch(one) {
  const canvas = document.createElement("canvas");
  canvas.className = "swatch";
  canvas.setAttribute("aria-hidden", "true");
  const ratio = Math.max(devicePixelRatio || 1, 2);
  canvas.width = canvas.height = SIZE * ratio;
  draw(canvas, one, ratio);
  const gone = new AbortController();
  const again = () => (canvas.isConnected ? draw(canvas, one, ratio) : gone.abort());
  themeChanges.addEventListener("change", again, { signal: gone.signal });
  return canvas;
}

function draw(canvas, one, ratio) {
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, SIZE, SIZE);
  shapePath(context, one.shape, SIZE / 2, SIZE / 2, 7.4);
  context.fillStyle = color(one.color);
  context.fill();
  context.fillStyle = color(`${one.color}-on`);
  context.font = "700 10px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(one.letter, SIZE / 2, SIZE / 2 + 0.5);
}
