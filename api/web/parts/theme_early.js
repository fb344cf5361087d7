// Sets the chosen theme before the first paint, so that a dark page does not flash white.
(() => {
  try {
    const chosen = localStorage.getItem("ectopy.theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // storage may be forbidden: the system's choice holds
  }
})();
