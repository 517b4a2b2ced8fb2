// What the browser keeps: theme, who annotates, records and progress. Without storage it lasts as long as the page.
"use strict";

explorer.store = (() => {
  const PREFIX = "perturbook-explorer:";
  const memory = new Map();
  let lasting = true;

  /** The value kept under a name, or `otherwise`; what cannot be read as JSON counts as absent. */
  function get(name, otherwise = null) {
    let text = memory.get(name);
    if (text === undefined) {
      try { text = localStorage.getItem(PREFIX + name); } catch { lasting = false; }
    }
    if (text === null || text === undefined) return otherwise;
    try { return JSON.parse(text); } catch { return otherwise; }
  }

  /** Keep a value; false where it lasts no longer than the page. */
  function set(name, value) {
    const text = JSON.stringify(value);
    try {
      localStorage.setItem(PREFIX + name, text);
      memory.delete(name);
      return true;
    } catch {
      lasting = false;
      memory.set(name, text);
      return false;
    }
  }

  set("probe", 1);
  return { get, set, lasts: () => lasting };
})();

/** Light or dark: the reader's choice, else that of the system. */
explorer.theme = (() => {
  const NAMES = ["auto", "light", "dark"];
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => { const one = explorer.store.get("theme", "auto"); return NAMES.includes(one) ? one : "auto"; };
  const dark = () => (chosen() === "auto" ? system.matches : chosen() === "dark");
  function apply() {
    document.documentElement.dataset.theme = dark() ? "dark" : "light";
    const button = document.getElementById("theme");
    if (button) button.textContent = `Theme: ${chosen()}`;
    document.dispatchEvent(new Event("explorer-theme"));
  }
  function next() {
    explorer.store.set("theme", NAMES[(NAMES.indexOf(chosen()) + 1) % NAMES.length]);
    apply();
  }
  system.addEventListener("change", apply);
  apply();
  return { apply, next, dark };
})();
