// The page of one feature: a sentence of what it is, the panels, the form. Made once, filled again for the next feature.
"use strict";

explorer.feature = (() => {
  const { make, show, plural } = explorer;
  const BLIND_HIDES = { 1: ["terms", "near", "diagnostics"], 2: ["near", "diagnostics"] };
  let parts = null;
  let panels = [];

  function build(section) {
    const title = make("h1", { tabindex: "-1" });
    const told = make("p", { class: "told", "aria-live": "polite" });
    const small = make("p", { class: "facts" });
    const notes = make("p");
    const folded = make("details",
      { class: "facts", open: explorer.store.get("notes", true), on: { toggle: () => explorer.store.set("notes", folded.open) } },
      make("summary", {}, "Notes on every number of this atlas"), notes);
    const place = make("span", { class: "place" });
    const move = (step, text, keys) => make("button",
      { type: "button", "aria-keyshortcuts": keys, on: { click: () => explorer.move(step) } }, text);
    const toForm = (event) => {
      event.preventDefault();
      parts.aside.scrollIntoView();
      parts.aside.querySelector("input:not([type=file])")?.focus();
    };
    const top = make("div", { class: "top" },
      make("div", { class: "row" }, move(-1, "\u2190 Previous", "k"), place, move(1, "Next \u2192", "j"),
      make("a", { class: "jump", href: "#annotate",
        on: { click: toForm } }, "Annotate")),
    title, told, small, folded);
    panels = [explorer.mapPanel(), explorer.histogramPanel(), explorer.trustPanel(), explorer.groupsPanel(),
      ...explorer.genesPanel(),
      explorer.deletionPanel(), explorer.termsPanel(), explorer.examplesPanel(), explorer.nearPanel()];
    panels.forEach((one) => explorer.annotations.watch(one.element));
    const aside = explorer.annotations.build();
    section.append(top, make("div", { class: "columns" },
      make("div", { class: "panels" }, panels.map((one) => one.element)), aside));
    parts = { title, told, small, notes, folded, place, aside };
  }

  /** In one sentence what the feature is, from its cells and genes. */
  function sentence({ atlas, row, data }) {
    const { cells, labels } = atlas.about;
    if (!row.active) return `Active in none of ${plural(cells, "cell")}.`;
    const groups = explorer.rows(data.groups);
    const most = labels.map((label) => groups.filter((one) => one.label === label).sort((a, b) => b.active - a.active)[0]).filter(Boolean);
    const [first, ...others] = most.map((one) => `${one.value} (${show.round(one.active / row.active)} of active cells, ${show.round(one.cells / cells)} of all)`);
    if (row.active === 1) return `Active in 1 of ${plural(cells, "cell")}${most.length ? `: ${most.map((one) => one.value).join(", ")}` : ""}.`;
    const where = first
      ? `, ${most[0].active * 2 > row.active ? "most of them" : "most often"} ${[first, ...others].join("; ")}`
      : "";
    const head = row.active === cells
      ? `Active in all ${plural(cells, "cell")}`
      : `Active in ${show.count(row.active)} of ${plural(cells, "cell")} (${show.round(row.share)})`;
    return `${head}${where}. ${carriers(row, data)}`;
  }

  function carriers(row, data) {
    if (row.status !== "attributed") return "";
    const by = row.ranked_by === "pre" ? "pre" : "attribution";
    const first = explorer.rows(data.genes).filter((one) => one[by] !== null).sort((a, b) => b[by] - a[by]);
    const names = (list) => list.slice(0, 3).map((one) => one.gene).join(", ");
    if (row.ranked_by === "pre" || row.null_cutoff === null) return first.length ? `First by attribution: ${names(first)}.` : "";
    const above = first.filter((one) => one.attribution > row.null_cutoff);
    if (!above.length) return `No gene lies above the null cutoff; first by attribution: ${names(first)}.`;
    return `${names(above)} ${above.length === 1 ? "carries" : "carry"} it, above the null cutoff.`;
  }

  /**
   * Show a feature. `blind`: null, or {pass, repeat_of, number, of} of an item whose name stays hidden. `reveal` makes the
   * section visible once its data are here, and says whether it is still wanted.
   */
  async function open(section, uid, blind, reveal) {
    const started = performance.now();
    const { atlas } = explorer;
    const [cells, data] = await Promise.all([explorer.load(atlas.name, "cells"), explorer.load(atlas.name, uid)]);
    if (!reveal()) return; // seen before it is filled, because a chart needs a width
    if (!parts) build(section);
    const row = explorer.featureRow(atlas, atlas.index.get(uid));
    const scale = blind && row.largest_code ? 1 / row.largest_code : 1;
    const context = { atlas, cells, data, row, scale };
    const name = blind ? `Item ${blind.number} of ${blind.of}` : uid;
    document.title = `${name} \u00b7 ${atlas.about.title}`;
    parts.title.replaceChildren(name, ...explorer.badges(atlas.about));
    parts.told.textContent = sentence(context);
    parts.small.textContent = blind
      ? `Blind, pass ${blind.pass}: kind and name are hidden${blind.pass === 1 ? ", terms too" : ", terms are shown"}. Activation is scaled so that the largest is 1.`
      : `${{ sae: "Concept", neuron: "Neuron" }[row.arm] ?? row.arm} ${row.number} of ${atlas.about.title}. Mean code ${show.number(row.mean_code)}, largest ${show.number(row.largest_code)}. ${row.status === "attributed" ? "" : `Not attributed: ${row.status}. `}`;
    parts.notes.textContent = atlas.about.notes.join(" ");
    parts.folded.hidden = !atlas.about.notes.length;
    parts.place.textContent = blind ? `${blind.number} / ${blind.of}` : explorer.place(uid);
    const hidden = blind ? BLIND_HIDES[blind.pass] : [];
    const shown = panels.filter((one) => { one.element.hidden = hidden.includes(one.name); return !one.element.hidden; });
    explorer.annotations.show({ uid, pass: blind?.pass ?? 2, repeat_of: blind?.repeat_of ?? null, blind: Boolean(blind) });
    await Promise.all(shown.map((one) => one.update(context)));
    section.dataset.shown = blind ? String(blind.number) : uid;
    section.dataset.milliseconds = String(Math.round(performance.now() - started));
  }
  return { open, forget: (section) => delete section.dataset.shown };
})();

/** One feature as a row. */
explorer.featureRow = (atlas, at) => Object.fromEntries(Object.entries(atlas.features).map(([name, column]) => [name, column[at]]));
