// How strongly a feature is active, and in which cells: histogram, and shares and quartiles by the value of each label.
"use strict";

/** A panel of the page of a feature; `say` writes its caption. */
explorer.panel = (name, title, ...children) => {
  const { make } = explorer;
  const caption = make("p", { class: "caption" });
  const element = make("section", { class: "panel", "data-panel": name, "aria-label": title }, make("h2", {}, title),
    caption, ...children);
  return { name, element, say: (sentence) => { caption.textContent = sentence; } };
};

explorer.histogramPanel = () => {
  const { show, plural } = explorer;
  const { box, update: draw } = explorer.drawing.chart("codes");
  const panel = explorer.panel("activation", "How strongly", box);
  /** Value below which a share of sorted values lies, between neighbours in proportion. */
  const quantile = (sorted, share) => {
    const place = share * (sorted.length - 1);
    const low = Math.floor(place);
    return sorted[low] + (place - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
  };

  function update({ data, row, cells, scale }) {
    const codes = data.codes.code.map((code) => code * scale);
    const sorted = Float64Array.from(codes).sort();
    const n = plural(cells.x.length, "cell");
    const unit = scale === 1 ? "" : " Scaled so that the largest is 1.";
    const words = codes.length
      ? `${show.count(codes.length)} of ${n} active (${show.percent(row.share)}; donors not known). Quartiles of active cells: ${[0.25, 0.5, 0.75]
        .map((one) => show.number(quantile(sorted, one))).join(", ")}; largest ${show.number(sorted.at(-1))}.${unit}`
      : `Active in none of ${n}; there is nothing to draw.`;
    panel.say(words);
    return draw({ rows: codes.map((code) => ({ code })), words: `Histogram of activation. ${words}`, hide: !codes.length });
  }
  return { ...panel, update };
};

explorer.groupsPanel = () => {
  const { make, show, plural, table } = explorer;
  const blocks = make("div");
  const panel = explorer.panel("groups", "Groups of cells", blocks);
  const QUARTILES = { lower: "lower quartile", median: "median", upper: "upper quartile" };
  let made = new Map(); // label -> its charts
  let filledFor = null;

  function build(labels) {
    made = new Map(labels.map((label) => [label, {
      shares: explorer.drawing.chart("shares"), quartiles: explorer.drawing.chart("quartiles"),
      words: make("p", { class: "caption" }), about: make("details", {}),
    }]));
    blocks.replaceChildren(...[...made].map(([label, one]) => make("div", { class: "block" }, make("h3", {}, label), one.words,
      make("div", { class: "pair" }, one.shares.box, one.quartiles.box), one.about)));
  }

  async function update({ atlas, data, row, cells, scale }) {
    if (filledFor !== atlas) build(atlas.about.labels);
    filledFor = atlas;
    const all = explorer.rows(data.groups);
    const total = cells.x.length;
    panel.say(made.size
      ? `Bars: share of the cells of a group in which it is active; dashed: of all ${plural(total, "cell")} (donors not known). `
      + "Points and lines: median and quartiles of active cells." : "These cells came without a label.");
    for (const [label, one] of made) {
      const rows = all.filter((group) => group.label === label).sort((a, b) => b.share - a.share)
        .map((group) => ({ ...group, name: group.value }));
      const first = rows.toSorted((a, b) => b.active - a.active)[0];
      const words = row.active && first
        ? `${first.value}: ${show.count(first.active)} of ${plural(row.active, "active cell")} (${show.round(first.active / row.active)}); base rate ${show.round(first.cells / total)}.`
        : "No active cell.";
      one.words.textContent = words;
      one.about.replaceChildren(make("summary", {}, "As a table"), table(`${label}: cells and activation`, [
        { title: label, cell: (group) => group.value },
        { title: "cells", number: true, cell: (group) => show.count(group.cells) },
        { title: "active", number: true, cell: (group) => show.count(group.active) },
        { title: "share active", number: true, cell: (group) => show.percent(group.share) },
        { title: "of active cells", number: true,
          cell: (group) => (row.active ? show.round(group.active / row.active) : "undefined") },
        { title: "base rate", number: true, cell: (group) => show.round(group.cells / total) },
        ...Object.entries(QUARTILES).map(([name, title]) => ({ title, number: true,
          cell: (group) => show.number(group[name] === null ? null : group[name] * scale) })),
      ], rows));
      const shares = rows.map((group) => ({ name: group.name, share: 100 * group.share }));
      await one.shares.update({ rows: shares, marks: [{ at: 100 * row.share }], words: `Share active by ${label}. ${words}` });
      const spread = rows.map(({ name, lower, median, upper }) => ({ name, lower: lower && lower * scale,
        median: median && median * scale, upper: upper && upper * scale }));
      await one.quartiles.update({ rows: spread, words: `Quartiles of activation by ${label}; the table has the numbers.`,
        hide: !row.active });
    }
  }
  return { ...panel, update };
};
