// Activation on the map of cells, drawn on a canvas: silent cells faint, active ones by amount, prototypes ringed.
"use strict";

explorer.mapPanel = () => {
  const { make, show, plural } = explorer;
  // Light to dark on a light page, dark to light on a dark one; both rise in lightness one way, for every kind of colour vision.
  const RAMPS = { light: ["#8cc4e8", "#2f86c1", "#0b4f8a", "#08264d"], dark: ["#1f5f94", "#3f9bd1", "#9fd3ef", "#fff2b3"] };
  const ASPECT = 0.72;
  const canvas = make("canvas", { role: "img" });
  const under = make("p", { class: "under", "aria-hidden": "true" });
  const chosen = make("select", { on: { change: draw } });
  const ringed = make("input", { type: "checkbox", on: { change: draw } });
  const legend = make("div", { class: "legend" });
  const panel = explorer.panel("map", "Cells in which it is active",
    make("div", { class: "row" }, make("label", {}, "Show", chosen),
      make("label", {}, ringed, "prototypes (rings) and counterfactuals (squares)")),
    canvas, legend, under);
  let now = null; // {context, code per cell}
  let placed = []; // [x, y] of every cell on the canvas

  function colours() {
    const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    const stops = RAMPS[explorer.theme.dark() ? "dark" : "light"].map(channels);
    return (share) => {
      const place = Math.min(0.9999, Math.max(0, share)) * (stops.length - 1);
      const [low, part] = [Math.floor(place), place % 1];
      return `rgb(${stops[low].map((value, n) => Math.round(value + part * (stops[low + 1][n] - value))).join(" ")})`;
    };
  }

  function draw() {
    if (!now || !canvas.clientWidth) return;
    const { cells, data } = now.context;
    const [width, height] = [canvas.clientWidth, Math.round(canvas.clientWidth * ASPECT)];
    const ratio = window.devicePixelRatio || 1;
    Object.assign(canvas, { width: width * ratio, height: height * ratio });
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    place(cells, width, height);
    const kept = keeper(cells);
    const radius = Math.max(1.1, Math.min(3, 90 / Math.sqrt(cells.x.length)));
    const dot = (at, size) => { pen.beginPath(); pen.arc(...placed[at], size, 0, 7); pen.fill(); };
    pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--silent");
    for (let at = 0; at < cells.x.length; at++) if (!now.code[at] && kept(at)) dot(at, radius * 0.8);
    const colour = colours();
    const order = data.codes.cell.map((cell, n) => [cell, data.codes.code[n]]).sort((a, b) => a[1] - b[1]);
    const largest = now.context.row.largest_code || 1;
    for (const [cell, code] of order) {
      if (!kept(cell)) continue;
      pen.fillStyle = colour(code / largest);
      dot(cell, radius);
    }
    if (ringed.checked) rings(pen, data.examples, radius);
    const top = largest * now.context.scale;
    legend.replaceChildren(make("span", { class: "dot" }), "silent",
      make("span", { class: "ramp", style: `background: linear-gradient(90deg, ${[0, 0.33, 0.66, 1].map(colour).join(", ")})` }),
      `activation 0 to ${data.codes.cell.length ? show.number(top) : "0"}`);
    const n = cells.x.length;
    const words = `${show.count(data.codes.cell.length)} of ${plural(n, "cell")} active (donors not known); both axes are UMAP coordinates without a unit.`;
    canvas.setAttribute("aria-label", `Map of cells. ${words} The table of cell types says the same in numbers.`);
    panel.say(words + (chosen.value ? ` Only ${chosen.selectedOptions[0].textContent} is drawn.` : ""));
  }

  function place(cells, width, height) {
    const span = (values) => { const low = Math.min(...values); return [low, Math.max(...values) - low || 1]; };
    const [[left, wide], [low, tall]] = [span(cells.x), span(cells.y)];
    const size = Math.min((width - 16) / wide, (height - 16) / tall);
    const [dx, dy] = [(width - wide * size) / 2, (height - tall * size) / 2];
    placed = cells.x.map((x, at) => [dx + (x - left) * size, height - dy - (cells.y[at] - low) * size]);
  }

  function keeper(cells) {
    if (!chosen.value) return () => true;
    const [label, value] = chosen.value.split("/").map(Number);
    return (at) => cells.labels[label].of[at] === value;
  }

  function rings(pen, examples, radius) {
    pen.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--ring");
    pen.lineWidth = 1.4;
    examples.cell.forEach((cell, n) => {
      if (examples.stratum[n] !== "top") return;
      pen.beginPath();
      pen.arc(...placed[cell], radius + 2.5, 0, 7);
      pen.stroke();
      const other = placed[examples.counterfactual[n]];
      if (other) pen.strokeRect(other[0] - radius - 2, other[1] - radius - 2, 2 * radius + 4, 2 * radius + 4);
    });
  }

  canvas.addEventListener("pointermove", (event) => {
    if (!now) return;
    let [best, apart] = [-1, 100];
    placed.forEach(([x, y], at) => {
      const distance = (x - event.offsetX) ** 2 + (y - event.offsetY) ** 2;
      if (distance < apart) [best, apart] = [at, distance];
    });
    const { cells, scale } = now.context;
    under.textContent = best < 0 ? "\u00a0" : [cells.cell[best], ...cells.labels.map((one) => one.values[one.of[best]]),
      now.code[best] ? `activation ${show.number(now.code[best] * scale)}` : "silent"].join(", ");
  });
  new ResizeObserver(draw).observe(canvas);
  document.addEventListener("explorer-theme", draw);

  let filledFor = null;
  function update(context) {
    const { cells, data } = context;
    if (filledFor !== cells) {
      filledFor = cells;
      chosen.replaceChildren(make("option", { value: "" }, "all cells"), ...cells.labels.flatMap((one, label) =>
        one.values.map((value, n) => make("option", { value: `${label}/${n}` }, `${one.name}: ${value}`))));
    }
    const code = new Float64Array(cells.x.length);
    data.codes.cell.forEach((cell, n) => { code[cell] = data.codes.code[n]; });
    now = { context, code };
    under.textContent = "\u00a0";
    draw();
  }
  return { ...panel, update };
};
