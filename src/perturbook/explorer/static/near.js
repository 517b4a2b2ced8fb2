// Concepts that point the same way, and what is known of how far this one can be trusted.
"use strict";

explorer.nearPanel = () => {
  const { make, show, table, rows } = explorer;
  const body = make("div");
  const panel = explorer.panel("near", "Nearest by cosine", body);
  function update({ atlas, row, data }) {
    const found = rows(data.near);
    const of = atlas.features;
    const best = (uid) => { const at = atlas.index.get(uid); return of.value[at] ? `${of.label[at]}: ${of.value[at]}` : "undefined"; };
    panel.say(found.length
      ? `The nearest has a cosine of ${show.number(found[0].cosine)}; two random directions are expected at 0.`
      : `No other feature to compare ${row.uid} with.`);
    body.replaceChildren(...(found.length ? [table("Nearest features", [
      { title: "feature", cell: (one) => make("a", { href: `#/${atlas.name}/${one.other}` }, one.other) },
      { title: "cosine", number: true, cell: (one) => show.number(one.cosine) },
      { title: "best label", cell: (one) => best(one.other) },
      { title: "active share", number: true, cell: (one) => show.percent(of.share[atlas.index.get(one.other)]) },
    ], found)] : []));
  }
  return { ...panel, update };
};

explorer.trustPanel = () => {
  const { make, show } = explorer;
  const list = make("ul");
  const panel = explorer.panel("diagnostics", "How far to trust it", list);
  function sentences({ atlas, row }) {
    const { chance } = atlas.about;
    const told = [];
    told.push(row.stability === null ? "Stability over seeds is undefined for this feature."
      : `Stability ${show.number(row.stability)}: mean cosine with its match in autoencoders of other seeds; chance gives ${show.number(chance)}`
        + `${chance < 1 ? `, so (observed \u2212 chance) / (1 \u2212 chance) is ${show.number((row.stability - chance) / (1 - chance))}` : ""}.`);
    told.push(row.value
      ? `It tells ${row.label} "${row.value}" with an F1 of ${show.number(row.f1)} on test cells; the label was chosen on validation cells.`
      : "No label of the cells is told by it.");
    if (row.status !== "attributed") return [...told, `Not attributed: ${row.status}.`];
    told.push(`Overtaken in ${show.round(row.overtaken)} of swaps: its code falls to 0 because another feature passes it, although it hardly moved.`
      + ` Genes are ranked ${row.ranked_by === "pre" ? "by the score before Top-K" : "by the share of activation that goes"}.`);
    const ratio = row.completeness;
    told.push(`Completeness ${show.number(ratio)}: sum of single swaps over the joint swap, median over prototypes`
      + `${ratio === null ? "" : ratio < 0.8 ? "; genes stand in for each other or act together" : ratio > 1.25 ? "; single swaps overlap" : "; genes nearly add up"}.`);
    return told;
  }
  function update(context) {
    panel.say("To be read beside every panel.");
    list.replaceChildren(...sentences(context).map((one) => make("li", {}, one)));
  }
  return { ...panel, update };
};
