// Genes by attribution and by DE side by side, the cutoff between them, and what swapping many at once leaves.
"use strict";

explorer.genesPanel = () => {
  const { make, show, plural, table, rows: asRows } = explorer;
  const SHOWN = 15; // drawn
  const LISTED = 25; // the table of an atlas lists at least so many by attribution, or all there are
  const charts = { relative: explorer.drawing.chart("attribution"), pre: explorer.drawing.chart("pre"),
    de: explorer.drawing.chart("de") };
  const curve = explorer.drawing.chart("cutoffs");
  const ticks = make("datalist", { id: "cutoff-ticks" });
  const slider = make("input",
    { type: "range", id: "cutoff", min: 0, step: 1, list: "cutoff-ticks", on: { input: () => choose(stops[slider.value]) } });
  const shown = make("output", { for: "cutoff" });
  const counted = make("p", { class: "caption", id: "counted", role: "status", "aria-live": "polite" });
  const fixed = make("button", { type: "button", on: { click: () => choose(0.05) } }, "0.05");
  const control = make("button", { type: "button", on: { click: () => choose("null") } }, "null cutoff");
  const bar = make("div", { class: "row" }, make("label", {}, "Cutoff of attribution", slider, ticks), shown, fixed, control);
  const about = make("details", {});
  const byAttribution = make("div", {}, make("h3", {}, "By attribution"), charts.relative.box, charts.pre.box);
  const byDe = make("div", {}, make("h3", {}, "By DE"), charts.de.box);
  const panel = explorer.panel("genes", "Genes", bar, counted, make("div", { class: "pair" }, byAttribution, byDe), about);
  const spread = explorer.panel("cutoffs", "How attribution is distributed", curve.box);
  let wanted = "null"; // cutoff that the reader chose: a number, or that of the negative controls
  let stops = [];
  let now = null;

  function choose(cutoff) {
    wanted = cutoff === now?.row.null_cutoff ? "null" : cutoff;
    redraw();
  }

  /**
   * Tested genes above a cutoff, in words. Between two cutoffs of the table they are counted among the genes shown, as long as one
   * of the first by attribution lies at or below it, for then all above are shown; else the counts on both sides are given.
   */
  function above({ data, cutoff }) {
    const { cutoff: grid, genes } = data.cutoffs;
    const next = grid.findIndex((one) => one >= cutoff);
    if (grid[next] === cutoff) return show.count(genes[next]);
    const [most, least] = [genes[next < 0 ? genes.length - 1 : Math.max(0, next - 1)], next < 0 ? 0 : genes[next]];
    const held = data.genes.attribution.filter((value) => value > cutoff).length;
    if (held >= least && held <= most && held < LISTED && now.row.ranked_by !== "pre") return show.count(held);
    return most === least ? show.count(most) : `${show.count(least)} to ${show.count(most)}`;
  }

  async function redraw() {
    const { row, data } = now;
    const some = row.status === "attributed";
    const cutoff = wanted === "null" ? row.null_cutoff ?? 0.05 : wanted;
    bar.hidden = counted.hidden = !some;
    if (some) {
      slider.value = stops.indexOf(stops.reduce((best, one) => (Math.abs(one - cutoff) < Math.abs(best - cutoff) ? one : best), stops[0]));
      shown.textContent = show.number(cutoff);
      slider.setAttribute("aria-valuetext", show.number(cutoff));
      fixed.setAttribute("aria-pressed", cutoff === 0.05);
      control.setAttribute("aria-pressed", wanted === "null" && row.null_cutoff !== null);
      control.disabled = row.null_cutoff === null;
      const { null_cutoff: limit } = row;
      const against = limit === null ? "The null cutoff is undefined: there were no negative controls."
        : `Null cutoff ${show.number(limit)}: ${cutoff < limit ? "more than 1 %" : cutoff > limit ? "at most 1 %" : "1 %"} of the scores of negative controls lie above this cutoff.`;
      counted.textContent = `${above({ data, cutoff })} of ${plural(row.tested, "tested gene")} lie above ${show.number(cutoff)}. ${against}`;
    }
    await Promise.all([drawGenes(cutoff), drawSpread(cutoff)]);
  }

  async function drawGenes(cutoff) {
    const { row, data } = now;
    const all = asRows(data.genes);
    const pre = row.ranked_by === "pre";
    const first = (name) => all.filter((gene) => gene[name] !== null).sort((a, b) => b[name] - a[name]).slice(0, SHOWN);
    const drawn = (name, error) => first(name).map((gene) => ({
      name: gene.gene, value: gene[name], below: gene.attribution !== null && !(gene.attribution > cutoff),
      low: error && gene[error] !== null ? gene[name] - gene[error] : null,
      high: error && gene[error] !== null ? gene[name] + gene[error] : null,
    }));
    const names = (list) => list.slice(0, 5).map((one) => one.name).join(", ") || "none";
    const [left, right] = [drawn(pre ? "pre" : "attribution", pre ? null : "error"), drawn("de")];
    [byAttribution.hidden, byDe.hidden] = [!left.length, !right.length];
    const farthest = 1.5 * Math.max(...left.map((gene) => gene.high ?? gene.value));
    const mark = pre || cutoff > farthest ? [] : [{ at: cutoff }]; // a cutoff far beyond the genes would flatten them
    await charts.relative.update({ rows: left, marks: mark, words: `First genes by attribution: ${names(left)}.`,
      hide: pre || !left.length });
    await charts.pre.update({ rows: left, words: `First genes by attribution before Top-K: ${names(left)}.`,
      hide: !pre || !left.length });
    await charts.de.update({ rows: right, words: `First genes by DE: ${names(right)}.`, hide: !right.length });
  }

  function drawSpread(cutoff) {
    const { row, data } = now;
    const rows = asRows(data.cutoffs).filter((one) => one.cutoff > 0);
    const marks = [{ at: 0.05, what: "0.05" }];
    if (row.null_cutoff > 0) marks.push({ at: row.null_cutoff, what: "null" });
    if (cutoff > 0 && !marks.some((one) => one.at === cutoff)) marks.push({ at: cutoff, what: "chosen" });
    const count = (at) => show.count(data.cutoffs.genes[data.cutoffs.cutoff.indexOf(at)]);
    const words = rows.length ? `Of ${plural(row.tested, "tested gene")}, ${[0.01, 0.02, 0.05, 0.1].filter((at) => data.cutoffs.cutoff.includes(at))
      .map((at) => `${count(at)} lie above ${at}`).join(", ")}.` : `No curve: ${row.status}.`;
    spread.say(words);
    return curve.update({ rows, marks, words, hide: !rows.length });
  }

  async function update(context) {
    now = context;
    const { row, data } = context;
    const values = new Set(data.cutoffs.cutoff);
    if (row.null_cutoff !== null) values.add(row.null_cutoff);
    stops = [...values].sort((a, b) => a - b);
    slider.max = Math.max(0, stops.length - 1);
    const marked = [0.05, row.null_cutoff].filter((one) => stops.includes(one));
    ticks.replaceChildren(...marked.map((one) => make("option", { value: stops.indexOf(one) })));
    const pairs = data.examples.counterfactual.filter((one) => one >= 0).length;
    panel.say(row.status === "attributed"
      ? `${plural(row.tested, "gene")} tested on ${plural(pairs, "pair")} of cells (donors not known). Attribution: share of activation that goes when a cell takes the gene's value of its counterfactual; `
        + "lines: one standard error, where swaps were exact. Grey: at or below the cutoff. "
        + (row.ranked_by === "pre" ? "Ranked before Top-K, because other features overtake this one in more than 20 % of swaps." : "DE: training cells, active against others.")
      : `No attribution: ${row.status}. ${data.genes.gene.length ? "DE compares active training cells with the others." : ""}`);
    about.hidden = !data.genes.gene.length;
    const column = (title, name, kind) => ({ title, number: kind !== undefined,
      cell: (gene) => (kind ? show[kind](gene[name]) : gene[name]) });
    about.replaceChildren(make("summary", {}, "As a table, with kinds of swap"), table("Genes shown, by attribution and by DE", [
      column("gene", "gene"), column("attribution", "attribution", "number"), column("standard error", "error", "number"),
      column("pairs tested", "tested", "count"), column("same sign", "same_sign", "round"), column("changed", "changed", "round"),
      column("removed", "removed", "round"), column("added", "added", "round"), column("before Top-K", "pre", "number"),
      column("DE z", "de", "number"),
    ], asRows(data.genes)));
    await redraw();
  }
  return [{ ...panel, update }, { ...spread, update: () => {} }];
};

explorer.deletionPanel = () => {
  const { make, show, table, rows } = explorer;
  const { box, update: draw } = explorer.drawing.chart("curves");
  const about = make("details", {});
  const panel = explorer.panel("deletion", "Deletion curve", box, about);
  function update({ row, data }) {
    const all = rows(data.curves);
    const at = Math.max(...all.filter((one) => one.genes <= 20).map((one) => one.genes));
    const left = (order) => show.round(all.find((one) => one.order === order && one.genes === at)?.left);
    const words = all.length
      ? `Activation left after swapping the first genes of an order together, on pairs that did not decide the order; lower is better. After ${at}: attribution ${left("attribution")}, `
      + `DE ${left("DE")}, expression ${left("expression")}, random ${left("random")}.` : `No curve: ${row.status === "attributed" ? "too few pairs of cells" : row.status}.`;
    panel.say(words);
    const sizes = [...new Set(all.map((one) => one.genes))];
    about.hidden = !all.length;
    about.replaceChildren(make("summary", {}, "As a table"), table("Activation left, by order and number of genes swapped", [
      { title: "order", cell: (order) => order },
      ...sizes.map((n) => ({ title: String(n), number: true,
        cell: (order) => show.percent(all.find((one) => one.order === order && one.genes === n)?.left) })),
    ], [...new Set(all.map((one) => one.order))]));
    return draw({ rows: all.map((one) => ({ ...one, left: one.left === null ? null : 100 * one.left })), words,
      hide: !all.length });
  }
  return { ...panel, update };
};
