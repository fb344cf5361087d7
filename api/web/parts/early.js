// What cannot wait for the modules: the chosen theme before the first paint, so that a dark page does
// not flash white, and words where a part of the page could not be loaded, so that it is never blank.
(() => {
  try {
    const chosen = localStorage.getItem("ectopy.theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // storage may be forbidden: the system's choice holds
  }
  const say = (event) => {
    if (event.target.tagName !== "SCRIPT") return;
    const words = document.createElement("p");
    words.className = "notice";
    words.setAttribute("role", "alert");
    const again = document.createElement("button");
    again.textContent = "Load again";
    again.addEventListener("click", () => location.reload());
    words.append("A part of this page could not be loaded: the connection broke on the way. ", again);
    document.getElementById("main").replaceChildren(words);
  };
  addEventListener("error", say, true);
})();
