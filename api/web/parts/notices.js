// How an error, a hint or a lasting remark looks.

import { el } from "./dom.js";

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
    retry ? el("button", { type: "button", text: label, onclick: retry }) : null,
  );
}

export function remark(text) {
  return el("p", { class: "notice", text });
}
