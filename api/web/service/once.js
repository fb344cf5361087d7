// A key for what shall be made once: the same request sent again has the same key, another one another.

export class Once {
  #text = null;
  #key = "";

  /** request: what tells one request from another, as plain data. */
  keyOf(request) {
    const text = JSON.stringify(request);
    if (text !== this.#text) this.#key = crypto.randomUUID();
    this.#text = text;
    return this.#key;
  }
}
