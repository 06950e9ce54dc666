// Keeps the theme as chosen and the figures fresh. Without it the page is whole, but stands still.
(() => {
  "use strict";
  const EVERY = 2000; // milliseconds between two looks
  const AWAY = 10000; // and while the gateway does not answer
  const root = document.documentElement;

  const kept = () => {
    try { return localStorage.getItem("tandem-theme"); } catch { return null; } // storage may be forbidden
  };
  const keep = (theme) => {
    try { localStorage.setItem("tandem-theme", theme); } catch { /* then it lasts until the page is left */ }
  };
  const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

  // Before the first paint, so that no page flashes in the other theme.
  if (["light", "dark"].includes(kept())) root.dataset.theme = kept();

  // Puts each section that changed in the place of the old one, so that what did not change is left in peace.
  const show = (page) => {
    for (const id of ["health", "overview"]) {
      const now = document.getElementById(id), next = page.getElementById(id);
      const ids = (element) => [...element.children].map((child) => child.id).join();
      if (!next.children[0]?.id || ids(now) !== ids(next)) {
        if (now.innerHTML !== next.innerHTML) now.replaceWith(next);
        continue;
      }
      for (const section of [...next.children]) {
        const old = document.getElementById(section.id);
        if (old.innerHTML !== section.innerHTML) old.replaceWith(section);
      }
    }
  };

  const look = async () => {
    let wait = EVERY;
    if (!document.hidden) {
      const span = document.getElementById("overview").dataset.span;
      try {
        const answer = await fetch(`/dashboard/live?span=${span}`, { signal: AbortSignal.timeout(AWAY) });
        if (!answer.ok) throw new Error(`status ${answer.status}`);
        show(new DOMParser().parseFromString(await answer.text(), "text/html"));
        delete root.dataset.away;
      } catch {
        root.dataset.away = "";
        wait = AWAY;
      }
    }
    setTimeout(look, wait);
  };

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("button.theme");
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      keep(root.dataset.theme);
    });
    setTimeout(look, EVERY);
  });
})();
