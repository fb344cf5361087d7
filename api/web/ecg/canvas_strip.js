// A canvas as wide as its place and as sharp as its screen, drawn at most once a frame.

export class CanvasStrip {
  #pending = 0;

  /** draw(context, width, height) in CSS pixels, on a cleared canvas. */
  constructor(height_px, draw) {
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("aria-hidden", "true");
    this.canvas.style.height = `${height_px}px`;
    this.height = height_px;
    this.width = 0;
    this.draw = draw;
    this.context = this.canvas.getContext("2d");
  }

  resize(width_px, height_px = this.height) {
    const ratio = devicePixelRatio || 1;
    this.width = width_px;
    this.height = height_px;
    this.canvas.style.width = `${width_px}px`;
    this.canvas.style.height = `${height_px}px`;
    this.canvas.width = Math.round(width_px * ratio);
    this.canvas.height = Math.round(height_px * ratio);
    this.now();
  }

  /** Draw with the next frame. */
  soon() {
    this.#pending ||= requestAnimationFrame(() => this.now());
  }

  now() {
    cancelAnimationFrame(this.#pending);
    this.#pending = 0;
    if (!this.width) return;
    const ratio = this.canvas.width / this.width;
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.clearRect(0, 0, this.width, this.height);
    this.draw(this.context, this.width, this.height);
  }
}
