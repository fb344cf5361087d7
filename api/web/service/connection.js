// Knows whether the service answers, asks again while it does not, and tells who waits for it.

import { unreachable } from "./problem.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;

class Connection extends EventTarget {
  lost = false;
  retryAt = 0;
  #timer = 0;
  #wait = FIRST_WAIT_MS;

  /** A request failed without an answer. */
  reportLost() {
    if (this.lost) return;
    this.lost = true;
    this.#wait = FIRST_WAIT_MS;
    this.#schedule();
  }

  /** Something answered. */
  reportAnswer() {
    if (!this.lost) return;
    this.lost = false;
    clearTimeout(this.#timer);
    this.dispatchEvent(new Event("change"));
    this.dispatchEvent(new Event("restored"));
  }

  async tryNow() {
    clearTimeout(this.#timer);
    this.retryAt = 0;
    this.dispatchEvent(new Event("change"));
    try {
      const answer = await fetch("healthz", { cache: "no-store", signal: AbortSignal.timeout(8000) });
      if (!answer.ok) throw unreachable();
      this.reportAnswer();
    } catch {
      this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
      this.#schedule();
    }
  }

  /** Resolves at once while the service answers, else when it does again. */
  answered(signal) {
    if (!this.lost) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.addEventListener("restored", resolve, { once: true });
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  }

  #schedule() {
    clearTimeout(this.#timer);
    this.retryAt = Date.now() + this.#wait;
    this.#timer = setTimeout(() => this.tryNow(), this.#wait);
    this.dispatchEvent(new Event("change"));
  }
}

export const connection = new Connection();
addEventListener("online", () => connection.lost && connection.tryNow());
addEventListener("offline", () => connection.reportLost());
