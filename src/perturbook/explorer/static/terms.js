// Gene sets by attribution and by DE, beside the share of random rankings that have one.
"use strict";

explorer.termsPanel = () => {
  const { make, show, plural, table, rows } = explorer;
  const LEVEL = 0.05;
  const body = make("div");
  const panel = explorer.panel("terms", "Terms", body);

  /** One row per set, with its numbers by attribution and by DE. */
  function together(terms) {
    const found = new Map();
    for (const term of rows(terms)) {
      const key = JSON.stringify([term.library, term.term]);
      if (!found.has(key)) found.set(key, { ...term });
      found.get(key)[term.by] = term;
    }
    const place = (one) => one.attribution?.fdr ?? 2 + (one.de?.fdr ?? 1);
    return [...found.values()].sort((a, b) => place(a) - place(b) || (b.attribution?.nes ?? b.de.nes) - (a.attribution?.nes ?? a.de.nes));
  }

  function update({ row, data }) {
    const found = together(data.terms);
    const byDe = found.filter((one) => one.de?.fdr < LEVEL).length;
    const null_ = row.null_share === null
      ? "How often random rankings have one is undefined."
      : `At least one is significant in ${show.round(row.null_share)} of matched random rankings.`;
    panel.say(row.status === "attributed"
      ? `${plural(row.terms, "set")} with an FDR below 0.05 by attribution; ${show.count(byDe)} of those shown by DE on the same ${plural(row.tested, "gene")}. ${null_} A dash: not among the sets that are shown for that ranking.`
      : `No terms: ${row.status}.`);
    const side = (by, name, kind) => ({ title: `${name === "nes" ? "NES" : "FDR"}, ${by === "de" ? "DE" : "attribution"}`, number: true,
      cell: (one) => {
        if (!one[by]) return "\u2013";
        const strong = name === "fdr" && one[by].fdr !== null && one[by].fdr < LEVEL;
        return make(strong ? "strong" : "span", {}, show[kind](one[by][name]));
      } });
    const more = { title: "leading edge", cell: (one) => (one.attribution ?? one.de).leading.replaceAll(";", ", ") };
    const spaced = (text) => text.replaceAll("_", " ");
    body.replaceChildren(...(found.length ? [table("Gene sets", [
      { title: "set", cell: (one) => make("span", {}, spaced(one.term), make("small", {}, one.library)) },
      side("attribution", "nes", "number"), side("attribution", "fdr", "fdr"), side("de", "nes", "number"),
      side("de", "fdr", "fdr"),
      { title: "size", number: true, cell: (one) => show.count(one.size) }, more,
    ], found, { class: "terms" })] : []));
  }
  return { ...panel, update };
};
