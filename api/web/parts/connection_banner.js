// Says that the service does not answer, when it is asked again, and that it answers again.

import { connection } from "../service/connection.js";
import { announce } from "./announce.js";
import { el, fill } from "./dom.js";

export function connectionBanner(place) {
  const text = el("span");
  const again = el("button", { type: "button", text: "Try now", onclick: () => connection.tryNow() });
  fill(place, text, again);
  let ticking = 0;
  const say = () => {
    const left = Math.ceil((connection.retryAt - Date.now()) / 1000);
    const next = left > 0 ? `Trying again in ${left} s.` : "Trying …";
    text.textContent = `Connection lost: the service does not answer. What is shown stays. ${next}`;
  };
  connection.addEventListener("change", () => {
    clearInterval(ticking);
    place.hidden = !connection.lost;
    if (!connection.lost) return;
    say();
    ticking = setInterval(say, 500);
  });
  connection.addEventListener("restored", () => announce("The service answers again"));
}
