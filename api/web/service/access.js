// The API key of this page: asked for when the service wants one, kept for this tab or, if a person says
// so, in this browser; sent with every request.

const NAME = "ectopy.key";

class Access extends EventTarget {
  #key = stored(sessionStorageOr()) ?? stored(localStorageOr()) ?? "";
  #asking = null;

  get key() {
    return this.#key;
  }

  /** What a request carries to be let in. */
  headers() {
    return this.#key ? { Authorization: `Bearer ${this.#key}` } : {};
  }

  hold(key, { remember = false } = {}) {
    this.forget();
    this.#key = key;
    const place = remember ? localStorageOr() : sessionStorageOr();
    try {
      place?.setItem(NAME, key);
    } catch {
      // kept until the page is closed
    }
    this.dispatchEvent(new Event("change"));
  }

  forget() {
    this.#key = "";
    for (const place of [sessionStorageOr(), localStorageOr()]) place?.removeItem(NAME);
    this.dispatchEvent(new Event("change"));
  }

  /** Runs `send()`; when it is refused for want of a key, asks for one and runs it again. */
  async with(send) {
    for (;;) {
      const used = this.#key;
      try {
        return await send();
      } catch (problem) {
        if (problem.name !== "Problem" || problem.status !== 401) throw problem;
        // another request may have been given a key meanwhile
        if (this.#key === used) await this.#another(problem);
      }
    }
  }

  /** Resolves when a person gave a key; rejects with the problem when not. One question for all who wait. */
  #another(problem) {
    this.#asking ??= new Promise((resolve, reject) => {
      const answer = { given: resolve, declined: () => reject(problem) };
      this.dispatchEvent(new CustomEvent("wanted", { detail: { problem, ...answer } }));
    }).finally(() => (this.#asking = null));
    return this.#asking;
  }
}

function sessionStorageOr() {
  try {
    return sessionStorage;
  } catch {
    return null; // a browser may forbid it
  }
}

function localStorageOr() {
  try {
    return localStorage;
  } catch {
    return null;
  }
}

function stored(place) {
  return place?.getItem(NAME) ?? null;
}

export const access = new Access();
