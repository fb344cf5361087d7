// Light or dark: the system's choice until a person chooses; tells the drawings to take new colors.

import { el } from "./dom.js";
import { keep } from "./kept.js";

const system = matchMedia("(prefers-color-scheme: dark)");
export const themeChanges = new EventTarget();

export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : system.matches;
}

/** A color of colors.css as it is now. */
export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export function themeButton() {
  const button = el("button", { class: "quiet icon", type: "button", onclick: toggle });
  const show = () => {
    button.textContent = isDark() ? "☀" : "☾";
    button.title = isDark() ? "Light colors" : "Dark colors";
    button.setAttribute("aria-label", button.title);
  };
  themeChanges.addEventListener("change", show);
  system.addEventListener("change", () => themeChanges.dispatchEvent(new Event("change")));
  show();
  return button;
}

function toggle() {
  const wanted = isDark() ? "light" : "dark";
  // back to what the system says: nothing to remember, so a later change of the system is followed
  const same = (wanted === "dark") === system.matches;
  if (same) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = wanted;
  keep("theme", same ? null : wanted);
  themeChanges.dispatchEvent(new Event("change"));
}

