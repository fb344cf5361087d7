// A list of the service as a table, newest first, page by page.

import { jsonWhenReached } from "../service/http.js";
import { el, fill } from "./dom.js";
import { failure } from "./notices.js";

const PAGE = 25;

/** heads: column titles, an empty one for tools. row(item, again) makes a <tr>; `again` loads anew. */
export class PagedTable {
  constructor({ path, heads, row, empty, older, label, signal }) {
    Object.assign(this, { path, heads, row, empty, older, label, signal });
    this.element = el("div", {}, el("p", { class: "hint", text: "Loading …" }));
  }

  async load() {
    const found = await this.#page(null);
    if (!found.data.length) return fill(this.element, this.empty());
    this.body = el("tbody");
    this.more = el("div", { class: "more" });
    fill(this.element, this.#table(), this.more);
    return this.#add(found);
  }

  #add(found) {
    const again = () => this.load();
    this.body.append(...found.data.map((item) => this.row(item, again)));
    const next = async () => {
      try {
        this.#add(await this.#page(found.next_cursor));
      } catch (error) {
        fill(this.more, failure(error, { retry: next }));
      }
    };
    fill(this.more, found.next_cursor ? el("button", { type: "button", text: this.older, onclick: next }) : null);
  }

  #page(cursor) {
    const query = new URLSearchParams({ limit: PAGE, ...(cursor ? { cursor } : {}) });
    return jsonWhenReached(`${this.path}?${query}`, { signal: this.signal });
  }

  #table() {
    return el("div", { class: "card table-card" }, el("table", { class: "records", "aria-label": this.label },
      el("thead", {}, el("tr", {}, this.heads.map((text) =>
        el("th", { scope: "col" }, text || el("span", { class: "visually-hidden", text: "Tools" }))))),
      this.body));
  }
}

/** A cell that keeps its column's title where a narrow screen shows rows as cards. */
export function cell(label, content, part = {}) {
  return el("td", { "data-label": label, ...part }, content);
}
