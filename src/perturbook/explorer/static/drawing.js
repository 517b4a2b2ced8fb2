// One Vega view per chart, made once and given new rows for the next feature.
"use strict";

explorer.drawing = (() => {
  const { make } = explorer;
  // A link that a chart asks for is refused: charts draw rows that the page already has.
  const loader = {
    load: () => Promise.reject(new Error("charts load nothing")),
    sanitize: () => Promise.reject(new Error("charts link nowhere")),
    http: () => Promise.reject(new Error("charts load nothing")),
    file: () => Promise.reject(new Error("charts load nothing")),
  };

  /** A place for the chart named `spec`; draw it with `update`. */
  function chart(spec) {
    const box = make("div", { class: "chart", role: "img" });
    let view = null;
    let width = 0;

    /** Show rows; `marks` are cutoffs or the like, `words` the text alternative, `hide` empties the place. */
    async function update({ rows, marks = [], words, hide = false }) {
      box.hidden = hide;
      box.setAttribute("aria-label", words);
      if (hide) return;
      const now = Math.round(box.clientWidth);
      if (!view) {
        const { parse, View } = window.drawing;
        view = new View(parse(explorer.specs[spec]), { renderer: "svg", container: box, hover: false, loader, logLevel: 1 });
      }
      const has = (name) => explorer.specs[spec].data.some((one) => one.name === name);
      view.data("rows", rows);
      if (has("marks")) view.data("marks", marks);
      if (now && now !== width) { width = now; view.signal("width", Math.max(120, now - 10)); }
      await view.runAsync();
      box.querySelector("svg")?.setAttribute("aria-hidden", "true");
    }

    new ResizeObserver(() => {
      const now = Math.round(box.clientWidth);
      if (view && now && now !== width) {
        width = now;
        view.signal("width", Math.max(120, now - 10)).runAsync();
      }
    }).observe(box);
    return { box, update };
  }
  return { chart };
})();
