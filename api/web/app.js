// Starts the page: the frame around every view, and which view an address shows.

import { announce } from "./parts/announce.js";
import { connectionBanner } from "./parts/connection_banner.js";
import { el, fill } from "./parts/dom.js";
import { failure } from "./parts/notices.js";
import { askForKeys, keyButton } from "./parts/key_dialog.js";
import { themeButton } from "./parts/theme.js";
import { followDownloads } from "./service/downloads.js";
import { datasetsView, datasetView } from "./views/datasets.js";
import { fineTunesView, fineTuneView } from "./views/fine_tunes.js";
import { modelsView, modelView } from "./views/models.js";
import { newDatasetView } from "./views/new_dataset.js";
import { newFineTuneView } from "./views/new_fine_tune.js";
import { recordView } from "./views/record.js";
import { recordsView } from "./views/records.js";

// a view makes its element from the address's parts; the signal ends it
const VIEWS = [
  { at: /^#\/records$/, view: recordsView, nav: "Records", href: "#/records" },
  { at: /^#\/records\/([\w-]+)$/, view: recordView },
  { at: /^#\/datasets$/, view: datasetsView, nav: "Datasets", href: "#/datasets" },
  { at: /^#\/datasets\/new$/, view: newDatasetView },
  { at: /^#\/datasets\/([\w-]+)$/, view: datasetView },
  { at: /^#\/fine-tunes$/, view: fineTunesView, nav: "Fine-tunes", href: "#/fine-tunes" },
  { at: /^#\/fine-tunes\/new(?:\/([\w-]+))?$/, view: newFineTuneView },
  { at: /^#\/fine-tunes\/([\w-]+)$/, view: fineTuneView },
  { at: /^#\/models$/, view: modelsView, nav: "Models", href: "#/models" },
  { at: /^#\/models\/([^/]+)\/(\d+)$/, view: modelView },
];
const START = "#/records";

let leave = new AbortController();

async function show() {
  const hash = location.hash || START;
  const found = VIEWS.find(({ at }) => at.test(hash));
  leave.abort(new DOMException("left", "AbortError"));
  leave = new AbortController();
  const { signal } = leave;
  markNav(hash);
  const main = document.getElementById("main");
  if (!found) return fill(main, el("div", { class: "page" }, failure({ title: "There is no such page", detail: hash })));
  const parts = found.at.exec(hash).slice(1).map((part) => (part === undefined ? part : decodeURIComponent(part)));
  try {
    await found.view(main, parts, signal);
  } catch (error) {
    if (signal.aborted) return undefined;
    fill(main, el("div", { class: "page" }, failure(error, { retry: show })));
  }
  return undefined;
}

function navigate() {
  document.title = "Ectopy";
  show();
  document.getElementById("main").focus({ preventScroll: true });
  scrollTo(0, 0);
}

function markNav(hash) {
  for (const link of document.querySelectorAll("#nav a[href^='#']")) {
    const here = hash.startsWith(link.getAttribute("href"));
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function frame() {
  const links = VIEWS.filter(({ nav }) => nav).map(({ nav, href }) => el("a", { href, text: nav }));
  fill(document.getElementById("nav"), links, el("a", { href: "docs", text: "API" }));
  fill(document.getElementById("tools"), keyButton(), themeButton());
  connectionBanner(document.getElementById("connection"));
  askForKeys();
  followDownloads((error) => document.getElementById("main").prepend(failure(error)));
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("main").focus();
  });
}

// what nobody foresaw is said, and what is on the page stays there
addEventListener("unhandledrejection", (event) => {
  if (event.reason?.name === "AbortError") return event.preventDefault();
  return announce(`Something went wrong: ${event.reason?.message ?? event.reason}`);
});
addEventListener("hashchange", navigate);
frame();
show();
