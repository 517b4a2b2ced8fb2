// Draws every chart of a page from the specification that stands behind it; loads nothing from anywhere.
(() => {
  "use strict";

  // Text and lines take the colour of the text around the chart, so a change of theme needs no second drawing.
  const ink = { color: "currentColor" };
  const faint = { gridColor: "currentColor", gridOpacity: 0.14, tickColor: "currentColor", tickOpacity: 0.4 };
  const words = { labelColor: "currentColor", titleColor: "currentColor" };
  const pageConfig = {
    background: "transparent",
    axis: { ...words, ...faint, domainColor: "currentColor", domainOpacity: 0.4 },
    legend: { ...words, gradientStrokeColor: "transparent", symbolStrokeColor: "transparent" },
    header: words,
    title: { ...ink, subtitleColor: "currentColor" },
    text: ink,
    rule: ink,
    tick: ink,
  };
  const options = {
    mode: "vega-lite", renderer: "svg", actions: false, defaultStyle: false, config: pageConfig,
    tooltip: { disableDefaultStyle: true },
  };

  async function draw(div) {
    div.dataset.state = "drawing";
    try {
      const spec = JSON.parse(div.nextElementSibling.textContent);
      const { view } = await window.vegaEmbed(div, spec, options);
      div.view = view;
      div.dataset.state = "drawn";
      if (div.scrollWidth > div.clientWidth) div.tabIndex = 0; // a keyboard must be able to scroll it
      offerData(div, spec);
    } catch (error) {
      div.dataset.state = "failed";
      div.innerHTML = '<p class="vl-error">This chart could not be drawn. Its description follows.</p>';
      console.error("perturbook chart:", error);
    }
  }

  // The rows behind a chart, as links that make a CSV file when they are first needed.
  function offerData(div, spec) {
    const about = div.parentElement.querySelector("details.vl-about");
    const tables = Object.values(spec.datasets || {}).filter((rows) => rows.length > 1);
    if (!about || !tables.length) return;
    about.addEventListener("toggle", () => {
      for (const rows of tables) {
        const link = document.createElement("a");
        link.href = URL.createObjectURL(new Blob([csv(rows)], { type: "text/csv" }));
        link.download = "chart.csv";
        link.textContent = `Data of this chart (CSV, ${rows.length} rows)`;
        about.appendChild(document.createElement("p")).appendChild(link);
      }
    }, { once: true });
  }

  function csv(rows) {
    const names = [...new Set(rows.flatMap(Object.keys))];
    const cell = (value) => (/[",\n]/.test(value ?? "") ? `"${String(value).replaceAll('"', '""')}"` : value ?? "");
    return [names, ...rows.map((row) => names.map((name) => row[name]))].map((r) => r.map(cell).join(",")).join("\n");
  }

  // A chart inside a closed box has no width: it is drawn when it first gets one. Later changes of width (a side
  // bar opens, a phone is turned) reach Vega as the window event that it listens to.
  let pending = 0;
  const watcher = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) {
      const width = Math.round(contentRect.width);
      if (!width || Number(target.dataset.width) === width) continue;
      target.dataset.width = width;
      if (!target.dataset.state) draw(target);
      else {
        cancelAnimationFrame(pending);
        pending = requestAnimationFrame(() => window.dispatchEvent(new Event("resize")));
      }
    }
  });

  document.addEventListener("DOMContentLoaded", () => {
    pageConfig.font = getComputedStyle(document.body).fontFamily; // a name, because Vega measures text with it
    document.querySelectorAll("div.vl-chart").forEach((div) => watcher.observe(div));
  });
})();
