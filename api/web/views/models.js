// The models that answer, their versions, and the card of each: what it was trained on, how good, its limits.

import { el, fill } from "../parts/dom.js";
import { moment } from "../parts/format.js";
import { described } from "../parts/model_card.js";
import { failure } from "../parts/notices.js";
import { promotionPanel } from "../parts/promotion.js";
import { jsonWhenReached } from "../service/http.js";
import { allModels, promotionsOf, versionsOf } from "../service/models.js";

export async function modelsView(main, _, signal) {
  document.title = "Models · Ectopy";
  const models = await allModels(signal);
  const versions = await Promise.all(models.map(({ name }) => versionsOf(name, signal)));
  const none = el("p", { class: "hint", text: "No model is registered." });
  fill(main, el("div", { class: "page" }, el("h1", { text: "Models" }),
    models.length ? models.map((model, i) => modelSection(model, versions[i])) : none));
}

function modelSection({ name, task, promoted_version }, versions) {
  const said = promoted_version ? `version ${promoted_version} answers when no model is named` : "no version answers until one is promoted";
  return el("section", { class: "card padded", "aria-label": name },
    el("div", {}, el("h2", { text: name }), el("p", { class: "hint", text: `${task} · ${said}` })),
    el("ul", { class: "versions plain" }, versions.map((one) => versionRow(one))), promotions(name));
}

const ACTIONS = { promote: "promoted", rollback: "rolled back to", ship: "came with the service" };

/** Which version answered when, loaded once it is looked at. */
function promotions(name) {
  const list = el("ol", { class: "run-log plain" });
  const words = ({ version, action, overruled }) => `version ${version} ${ACTIONS[action] ?? action}${overruled ? `, although: ${overruled}` : ""}`;
  const load = async () => {
    try {
      const found = await promotionsOf(name);
      fill(list, found.length ? found.map((one) => el("li", {}, el("time", { datetime: one.created_at, text: moment(one.created_at) }), ` ${words(one)}`)) : el("li", { text: "No version has answered yet." }));
    } catch (error) {
      fill(list, el("li", {}, failure(error, { retry: load })));
    }
  };
  return el("details", { ontoggle: (event) => event.target.open && load() }, el("summary", { text: "Which version answered when" }), list);
}

function versionRow({ name, version, promoted, synthetic, created_at, card }) {
  const base = card?.base ? ` · from ${card.base}` : "";
  return el("li", {}, el("a", { href: versionHref(name, version), text: `${name}@${version}` }),
    promoted ? el("span", { class: "status-badge succeeded", text: "✓ answers" }) : null,
    synthetic ? el("span", { class: "status-badge", text: "made by formula" }) : null,
    el("span", { class: "hint", text: `registered ${moment(created_at)}${base}` }));
}

export async function modelView(main, [name, version], signal) {
  document.title = `${name} · Ectopy`;
  const found = await jsonWhenReached(`v1/models/${encodeURIComponent(name)}/versions/${version}`, { signal });
  const facts = [["Task", found.task], ["Family", found.family], ["Registered", moment(found.created_at)], ["SHA-256 of the weights", found.sha256]];
  const promotion = await promotionPanel({ name, version: Number(version) }, { signal });
  fill(main, el("div", { class: "page" },
    el("p", { class: "crumbs" }, el("a", { href: "#/models", text: "Models" })),
    el("h1", { text: `${name} @ ${version}` }),
    found.synthetic ? el("p", { class: "notice", text: "Weights made by formula, for tests: this is no model of hearts." }) : null,
    promotion,
    el("dl", { class: "facts card" }, facts.map(([term, value]) => el("div", {}, el("dt", { text: term }), el("dd", { text: String(value) }))),
      lineage(found.card)),
    el("section", { class: "card model-card" }, el("h2", { text: "Model card" }), described(found.card))));
}

/** What a fine-tuned version came from. */
function lineage(card = {}) {
  const fact = (term, value) => el("div", {}, el("dt", { text: term }), el("dd", {}, value));
  return [
    card.fine_tune ? fact("Fine-tune", el("a", { href: `#/fine-tunes/${card.fine_tune}`, text: card.fine_tune })) : null,
    card.dataset?.id ? fact("Dataset", el("a", { href: `#/datasets/${card.dataset.id}`, text: card.dataset.name ?? card.dataset.id })) : null,
  ];
}

export function versionHref(name, version) {
  return `#/models/${encodeURIComponent(name)}/${version}`;
}
