// The cells that show a feature best, each with its counterfactual and its swaps, and cells of the middle and at random.
"use strict";

explorer.examplesPanel = () => {
  const { make, show, plural, table, rows } = explorer;
  const body = make("div");
  const panel = explorer.panel("cells", "Cells that show it", body);
  let opened = 0; // so that every row of swaps has a name of its own

  function labelled(cells, at) {
    return cells.labels.map((one) => one.values[one.of[at]]);
  }

  /** The row of swaps below a prototype: gene, counts before and after, share of activation that goes. */
  function swaps(all, cell, width, id) {
    const own = all.filter((one) => one.cell === cell);
    const inner = own.length ? table("Swaps that take most", [
      { title: "gene", cell: (one) => one.gene },
      { title: "before \u2192 after", number: true,
        cell: (one) => `${show.number(one.before)} \u2192 ${show.number(one.after)}` },
      { title: "activation that goes", number: true, cell: (one) => show.percent(one.relative) },
    ], own) : make("p", {}, "No swap of this cell is stored.");
    return make("tr", { id, class: "inner", hidden: true }, make("td", { colspan: width }, inner));
  }

  function prototypes({ cells, data, row, scale }, top) {
    const all = rows(data.swaps);
    const heads = ["swaps", "cell", ...cells.labels.map((one) => one.name), "activation", "counterfactual",
      ...cells.labels.map((one) => `its ${one.name}`), "distance", "genes that differ"];
    const numbers = new Set(["activation", "distance", "genes that differ"]);
    const lines = top.flatMap((one) => {
      const id = `swaps-${opened++}`;
      const other = one.counterfactual;
      const hidden = swaps(all, one.cell, heads.length, id);
      const toggle = () => {
        hidden.hidden = !hidden.hidden;
        button.setAttribute("aria-expanded", String(!hidden.hidden));
      };
      const button = make("button",
        { type: "button", "aria-expanded": "false", "aria-controls": id, "aria-label": `Swaps of ${cells.cell[one.cell]}`,
          on: { click: toggle } }, "swaps");
      const values = [other < 0 ? "" : button, cells.cell[one.cell], ...labelled(cells, one.cell), show.number(one.code * scale),
        other < 0 ? "no match" : cells.cell[other],
        ...(other < 0 ? cells.labels.map(() => "\u2013") : labelled(cells, other)), show.number(one.distance),
        other < 0 ? "\u2013" : show.count(one.differing)];
      return [make("tr", {},
        values.map((value, n) => make("td", { class: numbers.has(heads[n]) ? "number" : null }, value))), hidden];
    });
    return make("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Prototypes and counterfactuals" },
      make("table", { id: "prototypes" },
        make("caption", {}, `Prototypes: the ${row.status === "attributed" ? "training cells" : "cells"} with the largest activation`),
        make("thead", {}, make("tr", {}, heads.map((one) => make("th", { scope: "col", class: numbers.has(one) ? "number" : null }, one)))), make("tbody", {}, lines)));
  }

  function others(title, { cells, scale }, list) {
    return make("details", {}, make("summary", {}, `${title} (${list.length})`), table(title, [
      { title: "cell", cell: (one) => cells.cell[one.cell] }, { title: "part", cell: (one) => cells.part[one.cell] },
      ...cells.labels.map((label) => ({ title: label.name, cell: (one) => label.values[label.of[one.cell]] })),
      { title: "activation", number: true, cell: (one) => show.number(one.code * scale) },
    ], list));
  }

  /** How many have a counterfactual, and how far away it is. */
  function matched(paired) {
    if (!paired.length) return "";
    const known = paired.map((one) => one.distance).filter((one) => one !== null).sort((a, b) => a - b);
    const middle = known.length ? `, at a median distance of ${show.number(known[Math.floor((known.length - 1) / 2)])}` : "";
    return `${show.count(paired.length)} with a counterfactual, the nearest silent training cell of the same kind${middle}. Open a row for its swaps. `;
  }

  function update(context) {
    const all = rows(context.data.examples);
    const of = (stratum) => all.filter((one) => one.stratum === stratum);
    const top = of("top");
    const paired = top.filter((one) => one.counterfactual >= 0);
    const lone = top.length - paired.length;
    panel.say(top.length
      ? `${plural(top.length, "prototype")} (donors not known). ${matched(paired)}${lone ? `${show.count(lone)} without a counterfactual.` : ""}`
      : "Active in no cell.");
    body.replaceChildren(...(top.length ? [prototypes(context, top)] : []),
      others("Around the median active cell", context, of("middle")), others("Random active cells", context, of("random")));
  }
  return { ...panel, update };
};
