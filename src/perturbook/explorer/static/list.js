// The list of features: words, choices, sorting, and a table that is drawn a part at a time.
"use strict";

explorer.list = (() => {
  const { make, show, plural } = explorer;
  const PART = 150; // rows drawn at once, so that thousands of features stay quick
  const COLUMNS = [
    ["number", "feature", null],
    ["active", "active cells", "count"],
    ["share", "active share", "percent"],
    ["leading", "first genes", null],
    ["value", "best label", null],
    ["f1", "F1", "number"],
    ["stability", "stability", "number"],
    ["terms", "terms, FDR < 0.05", "count"],
    ["null_share", "random rankings with one", "round"],
    ["overtaken", "overtaken", "round"],
    ["status", "status", null],
  ];
  let parts = null;

  /** State of a list; one per atlas, kept while the page is open. */
  const fresh = () => ({ choice: explorer.search.none(), sort: { by: "number", down: false }, shown: PART });

  function select(name, label, options) {
    const inner = options.map(([value, text]) => make("option", { value }, text));
    return make("label", {}, label, make("select", { name, on: { change: changed } }, inner));
  }

  function build(section) {
    const field = (attributes) => make("input", { on: { input: changed }, autocomplete: "off", ...attributes });
    const search = field({ type: "search", name: "words", id: "search", placeholder: "gene, term, cell type, label, number" });
    search.addEventListener("focus", wake, { once: false });
    const values = select("value", "Best label", [["", "any"]]);
    const form = make("form", { class: "choices", role: "search", on: { submit: (event) => event.preventDefault() } },
      make("label", { class: "wide" }, "Search", search),
      select("arm", "Kind", [["", "all"], ["sae", "concepts"], ["neuron", "neurons"]]),
      values,
      select("terms", "Terms", [["", "any"], ["yes", "at least one"], ["no", "none"]]),
      select("mine", "My annotation", [["", "any"], ["yes", "annotated"], ["no", "not yet"]]),
      select("status", "Genes", [["", "any"], ["attributed", "attributed"], ["not", "not attributed"]]),
      make("label", {}, "Active in (%)", make("span", { class: "range" },
        field({ type: "number", name: "least", min: 0, max: 100, step: "any",
          "aria-label": "Active in at least, per cent of cells" }), "to",
        field({ type: "number", name: "most", min: 0, max: 100, step: "any",
          "aria-label": "Active in at most, per cent of cells" }))),
      make("button", { type: "button", on: { click: clear } }, "Clear"));
    const heads = COLUMNS.map(([by, title, kind]) => make("th", { scope: "col", class: kind ? "number" : null, "data-by": by },
      make("button", { type: "button", class: "sort", on: { click: () => sortBy(by) } }, title)));
    const body = make("tbody");
    const box = make("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Features" },
      make("table", { id: "features" }, make("thead", {}, make("tr", {}, heads)), body));
    const title = make("h1");
    const notes = make("div", { class: "notes" });
    const count = make("p", { class: "count", id: "count", role: "status", "aria-live": "polite" });
    const more = make("button", { type: "button", class: "more", on: { click: showAll } });
    section.append(title, notes, form, count, box, more);
    parts = { title, notes, form, values: values.querySelector("select"), heads, body, count, more, search };
  }

  function clear() {
    explorer.atlas.list = { ...fresh(), sort: explorer.atlas.list.sort };
    fill();
    render();
  }
  function sortBy(by) {
    const { sort } = explorer.atlas.list;
    // words run from a to z first, amounts from the largest
    const down = sort.by === by ? !sort.down : !["number", "leading", "value", "status"].includes(by);
    explorer.atlas.list.sort = { by, down };
    render();
  }
  function showAll() {
    explorer.atlas.list.shown = Infinity;
    render();
  }
  function changed(event) {
    const { name, value } = event.target;
    explorer.atlas.list.choice[name] = value;
    explorer.atlas.list.shown = PART;
    render();
  }
  async function wake() {
    const { atlas } = explorer;
    try {
      await explorer.search.wake(atlas);
    } catch (error) {
      explorer.say(error.message, true);
    }
    if (atlas === explorer.atlas) render();
  }
  const fill = () => {
    for (const [name, value] of Object.entries(explorer.atlas.list.choice)) parts.form.elements[name].value = value;
  };

  /** The matching features in order; also what next and previous follow. */
  function order() {
    const { atlas } = explorer;
    atlas.list ??= fresh();
    return explorer.search.matches(atlas, atlas.list.choice, atlas.list.sort, explorer.annotations.labels());
  }

  function row(at, labels) {
    const { atlas } = explorer;
    const of = atlas.features;
    const uid = of.uid[at];
    const own = labels.get(uid);
    const first = make("td", {}, make("a", { href: `#/${atlas.name}/${uid}` }, uid),
      own ? make("span", { class: "mine" }, own) : null);
    const best = make("span", { title: of.label[at] || null }, of.value[at] || "undefined");
    const told = { leading: of.leading[at] || "\u2013", value: best,
      status: make("span", { title: of.status[at] }, of.status[at]) };
    return make("tr", {}, first, COLUMNS.slice(1).map(([by, , kind]) =>
      make("td", { class: kind ? "number" : null }, kind ? show[kind](of[by][at]) : told[by])));
  }

  function render() {
    const { atlas } = explorer;
    const found = order();
    const labels = explorer.annotations.labels();
    const { sort, shown, choice } = atlas.list;
    parts.heads.forEach((head) => head.setAttribute("aria-sort",
      head.dataset.by === sort.by ? (sort.down ? "descending" : "ascending") : "none"));
    parts.body.replaceChildren(...found.slice(0, shown).map((at) => row(at, labels)));
    const all = atlas.features.uid.length;
    const where = choice.words && !atlas.find ? " Genes and terms are not searched yet." : "";
    parts.count.textContent = `${show.count(found.length)} of ${plural(all, "feature")} match.${where}`;
    parts.more.hidden = found.length <= shown;
    parts.more.textContent = `Show all ${show.count(found.length)}`;
  }

  /** Show the list of the current atlas. */
  function open(section) {
    if (!parts) build(section);
    const { atlas } = explorer;
    atlas.list ??= fresh();
    parts.title.replaceChildren(atlas.about.title, ...explorer.badges(atlas.about));
    const { cells, genes, k, labels } = atlas.about;
    parts.notes.replaceChildren(
      make("p", {}, `${show.count(cells)} cells (donors not known), ${show.count(genes)} genes, ${k} features active per cell. Labels of cells: ${labels.join(", ") || "none"}. `
        + "Genes and terms are searched among those shown of each feature (the first by attribution and by DE; terms with an FDR below 0.05)."),
      ...atlas.about.notes.map((note) => make("p", { class: "note" }, note)));
    const of = atlas.features;
    const pairs = new Map(of.value.map((value, at) => [JSON.stringify([of.label[at], value]),
      value ? `${of.label[at]}: ${value}` : "undefined"]));
    const sorted = [...pairs].sort((a, b) => a[1].localeCompare(b[1]));
    parts.values.replaceChildren(make("option", { value: "" }, "any"),
      ...sorted.map(([value, text]) => make("option", { value }, text)));
    fill();
    render();
  }
  return { open, order, focus: () => parts.search.focus() };
})();

/** What a reader must see beside a title. */
explorer.badges = (about) => (about.simulated ? [explorer.make("span", { class: "badge" }, "simulated cells")] : []);
