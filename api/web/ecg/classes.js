// The beat classes: name, letter, shape, and which color of colors.css; color is never the only sign.

const AAMI = [
  { label: "N", letter: "N", name: "Normal or bundle branch block", shape: "circle", color: "class-n" },
  { label: "S", letter: "S", name: "Supraventricular ectopic", shape: "diamond", color: "class-s" },
  { label: "V", letter: "V", name: "Ventricular ectopic", shape: "shield", color: "class-v" },
  { label: "F", letter: "F", name: "Fusion of normal and ventricular", shape: "square", color: "class-f" },
  { label: "Q", letter: "Q", name: "Paced or unclassifiable", shape: "hexagon", color: "class-q" },
];
const BINARY = [
  { label: "normal", letter: "N", name: "Normal", shape: "circle", color: "class-n" },
  { label: "abnormal", letter: "A", name: "Abnormal", shape: "shield", color: "class-v" },
];
const KNOWN = new Map([...AAMI, ...BINARY].map((one) => [one.label, one]));

/** The classes that a result counts, in its order. */
export function classesOf(counts) {
  const others = { shape: "square", color: "class-q" };
  const order = [...KNOWN.keys()];
  const place = (label) => (KNOWN.has(label) ? order.indexOf(label) : order.length);
  const labels = Object.keys(counts).sort((a, b) => place(a) - place(b));
  return labels.map(
    (label) => KNOWN.get(label) ?? { label, letter: label[0].toUpperCase(), name: label, ...others },
  );
}

export const isNormal = (label) => label === "N" || label === "normal";

/** An AAMI class of the reference in the words of a model that knows two classes only. */
export function referenceClass(label, classes) {
  if (classes.some((one) => one.label === label)) return label;
  return isNormal(label) ? "normal" : "abnormal";
}

/** Draws the class's shape around (x, y); the caller fills and strokes. */
export function shapePath(context, shape, x, y, r) {
  context.beginPath();
  if (shape === "circle") context.arc(x, y, r, 0, 2 * Math.PI);
  else polygon(context, POINTS[shape], x, y, r);
}

const POINTS = {
  diamond: [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]],
  shield: [[-1.05, -0.95], [1.05, -0.95], [1.05, 0.15], [0, 1.3], [-1.05, 0.15]],
  square: [[-0.95, -0.95], [0.95, -0.95], [0.95, 0.95], [-0.95, 0.95]],
  hexagon: [[-0.6, -1], [0.6, -1], [1.15, 0], [0.6, 1], [-0.6, 1], [-1.15, 0]],
};

function polygon(context, points, x, y, r) {
  points.forEach(([dx, dy], i) => context[i ? "lineTo" : "moveTo"](x + dx * r, y + dy * r));
  context.closePath();
}
