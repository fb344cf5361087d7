// Links to files: as they are while no key is needed, else fetched with the key and then saved.

import { access } from "./access.js";
import { request } from "./http.js";

/** From now on every link with `download` on the page is fetched with the key, where there is one. */
export function followDownloads(failed) {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[download]");
    if (!link || !access.key || link.protocol === "blob:") return;
    event.preventDefault();
    save(link).catch(failed);
  });
}

async function save(link) {
  link.setAttribute("aria-busy", "true");
  try {
    const answer = await request(link.getAttribute("href"));
    const content = await answer.blob();
    const url = URL.createObjectURL(content);
    const saving = document.createElement("a");
    saving.href = url;
    saving.download = nameOf(answer) ?? (link.download || link.pathname.split("/").at(-1));
    document.body.append(saving);
    saving.click();
    saving.remove();
    // the browser has taken it once the click was handled; a moment later for slow ones
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  } finally {
    link.removeAttribute("aria-busy");
  }
}

function nameOf(answer) {
  return /filename="([^"]+)"/.exec(answer.headers.get("content-disposition") ?? "")?.[1];
}
