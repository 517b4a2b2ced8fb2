// What every other script stands on: elements made without markup, numbers as words, data loaded as scripts.
"use strict";

/** @namespace */
const explorer = (() => {
  const waiting = new Map(); // "atlas/key" -> settles the promise of that script
  const loaded = new Map(); // "atlas/key" -> promise; the oldest leave
  const KEPT = 80;

  /** Called by every data file with what it holds. */
  function receive(atlas, key, value) {
    const address = `${atlas}/${key}`;
    if (waiting.has(address)) waiting.get(address)(value);
    else loaded.set(address, Promise.resolve(value));
  }

  /** The value of one data file. `atlas` and `key` must come from lists that the site itself holds, never from a link. */
  function load(atlas, key) {
    const address = `${atlas}/${key}`;
    if (loaded.has(address)) return loaded.get(address);
    const promise = new Promise((settle, refuse) => {
      const script = document.createElement("script");
      script.src = `data/${encodeURIComponent(atlas)}/${encodeURIComponent(key)}.js`;
      const end = (then) => { waiting.delete(address); script.remove(); then?.(); };
      waiting.set(address, (value) => { end(); settle(value); });
      script.onerror = () => end(() => {
        loaded.delete(address);
        refuse(new Error(`The file ${script.getAttribute("src")} cannot be read. Copy the whole folder of the explorer again.`));
      });
      script.onload = () => waiting.has(address) && script.onerror();
      document.head.append(script);
    });
    loaded.set(address, promise);
    const features = [...loaded.keys()].filter((one) => /-\d+$/.test(one));
    if (features.length > KEPT) loaded.delete(features[0]);
    return promise;
  }

  /** An element; strings become text and nothing else. `on` holds listeners, `props` plain properties. */
  function make(tag, { on = {}, props = {}, ...attributes } = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    Object.assign(element, props);
    for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
    element.append(...children.flat().filter((one) => one !== null && one !== undefined));
    return element;
  }

  const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
  const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  const minus = (text) => text.replace("-", "\u2212");
  const undefinedOr = (write) => (value) => (value === null || value === undefined ? "undefined" : minus(write(value)));
  /** Numbers as they are shown: stored digits, thousands apart; what is undefined says so. */
  const show = {
    number: undefinedOr((value) => number.format(value)),
    count: undefinedOr((value) => whole.format(value)),
    percent: undefinedOr((value) => `${number.format(100 * value)} %`),
    round: undefinedOr((value) => {
      const [share, size] = [100 * value, Math.abs(100 * value)];
      return `${size === 0 || size >= 9.95 ? whole.format(share) : Number(share.toPrecision(2))} %`;
    }),
    fdr: undefinedOr((value) => (value < 0.001 ? "< 0.001" : number.format(value))),
  };

  /** A table in its own scrolling box. `columns`: {title, cell(row) -> text or node, number}. */
  function table(caption, columns, rows, attributes = {}) {
    const head = make("tr", {},
      columns.map((one) => make("th", { scope: "col", class: one.number ? "number" : null }, one.title)));
    const body = rows.map((row) => make("tr", {},
      columns.map((one) => make("td", { class: one.number ? "number" : null }, one.cell(row)))));
    return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
      make("table", attributes, make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, body)));
  }

  /** Rows of a table that is kept by column. */
  function rows(columns) {
    const names = Object.keys(columns);
    return (columns[names[0]] ?? []).map((_, at) => Object.fromEntries(names.map((name) => [name, columns[name][at]])));
  }

  /** Say a sentence to those who look and those who listen. */
  function say(sentence, failed = false) {
    const said = document.getElementById("said");
    said.textContent = sentence;
    said.classList.toggle("failed", failed);
  }

  const plural = (n, one, more = `${one}s`) => `${show.count(n)} ${n === 1 ? one : more}`;
  return { receive, load, make, show, table, rows, say, plural };
})();
