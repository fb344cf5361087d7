// How an error, a hint or a lasting remark looks.

import { access } from "../service/access.js";
import { el } from "./dom.js";
import { keyDialog } from "./key_dialog.js";

/** A problem in the service's words; `retry` adds a button. */
export function failure(error, { retry, label = "Try again" } = {}) {
  const problem = error.title ? error : { title: "This page has an error", detail: error.message };
  const places = (error.errors ?? []).map((one) =>
    el("li", { text: `${[].concat(one.loc ?? []).join(" › ")}: ${one.msg}` }));
  return el(
    "div",
    { class: "failure", role: "alert" },
    el("strong", { text: problem.title }),
    problem.detail ? el("p", { text: problem.detail }) : null,
    places.length ? el("ul", {}, places) : null,
    el("div", { class: "buttons" },
      retry ? el("button", { type: "button", text: label, onclick: retry }) : null,
      keyWanted(problem.status) ? el("button", { type: "button", text: access.key ? "Use another key" : "Enter a key", onclick: () => keyDialog({ problem: access.key ? null : problem, given: retry }) }) : null),
  );
}

/** Whether another key may help: none was given, or the scope of the one that was is too little. */
function keyWanted(status) {
  return status === 401 || (status === 403 && access.key !== "");
}

/** A part of the service that is not there (503): not a mishap, but something to be done first. */
export function unavailable(problem, { retry }) {
  return el(
    "div",
    { class: "notice unavailable", role: "alert" },
    el("strong", { text: problem.title }),
    el("p", {}, coded(problem.detail)),
    el("button", { type: "button", text: "Try again", onclick: retry }),
  );
}

/** Commands, which stand in backquotes, as code; sentences as paragraphs of their own. */
function coded(text) {
  return text.split(/`([^`]+)`/).map((part, i) => (i % 2 ? el("code", { text: part }) : part));
}

export function remark(text) {
  return el("p", { class: "notice", text });
}
