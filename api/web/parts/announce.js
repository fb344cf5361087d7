// Says to a screen reader what others see happen.

const region = () => document.getElementById("status");

export function announce(text) {
  const status = region();
  // the same words twice are read twice only when the text changes
  status.textContent = status.textContent === text ? `${text} ` : text;
}
