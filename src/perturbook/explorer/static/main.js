// Links, keys and the choice of an atlas: which of the views is shown.
"use strict";

(() => {
  const { make, say, plural } = explorer;
  const known = new Map(); // name -> atlas; only names of the site's own list enter
  const view = (name) => document.getElementById(`view-${name}`);
  let [turn, route] = [0, null];

  async function atlasOf(name) {
    if (!known.has(name)) {
      const { about, features, leading } = await explorer.load(name, "list");
      features.leading = leading;
      known.set(name, { name, about, features, index: new Map(features.uid.map((uid, at) => [uid, at])) });
    }
    return known.get(name);
  }

  /** What a link asks for; null where it asks for nothing that is known. */
  async function asked(hash, list) {
    let words;
    try { words = hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decodeURIComponent); } catch { return null; }
    const [name = list[0].name, second, third] = words;
    if (!list.some((one) => one.name === name) || words.length > 3) return null;
    const atlas = await atlasOf(name);
    if (second === undefined) return { atlas, kind: "list" };
    if (second === "blind") {
      if (third === undefined) return { atlas, kind: "blind" };
      return /^[1-9]\d{0,4}$/.test(third) ? { atlas, kind: "item", number: Number(third) } : null;
    }
    return third === undefined && atlas.index.has(second) ? { atlas, kind: "feature", uid: second } : null;
  }

  async function go() {
    const mine = ++turn;
    const current = () => mine === turn;
    try {
      const list = await explorer.load("", "atlases");
      const found = await asked(location.hash, list);
      if (!current()) return;
      say("");
      if (!found) return lost(list);
      const changed = explorer.atlas !== found.atlas;
      explorer.atlas = found.atlas;
      if (changed) frame(list);
      await open(found, current);
      if (current() && route?.kind !== found.kind) scrollTo(0, 0);
      if (current()) route = found;
    } catch (error) {
      if (current()) say(error.message, true);
      console.error(error);
    }
  }

  function only(name) {
    for (const one of ["list", "blind", "feature", "lost"]) view(one).hidden = one !== name;
    if (name !== "feature") { explorer.annotations.rest(); explorer.feature.forget(view("feature")); }
  }

  async function open(found, current) {
    const { atlas, kind } = found;
    const reveal = () => current() && (only("feature"), true); // false where the reader has gone on meanwhile
    if (kind === "list") {
      document.title = `${atlas.about.title} \u00b7 Concept explorer`;
      only("list");
      return explorer.list.open(view("list"));
    }
    if (kind === "feature") {
      await explorer.feature.open(view("feature"), found.uid, null, reveal);
      if (current()) ahead(found.uid);
      return undefined;
    }
    if (kind === "item" && explorer.annotations.who()) {
      const { list, pass } = explorer.blind.progress(atlas);
      const item = list[found.number - 1];
      if (item) {
        const blind = { pass, repeat_of: item.repeat_of, number: found.number, of: list.length };
        return explorer.feature.open(view("feature"), item.uid, blind, reveal);
      }
    }
    only("blind");
    return explorer.blind.open(view("blind"));
  }

  function lost(list) {
    document.title = "Unknown link \u00b7 Concept explorer";
    only("lost");
    view("lost").replaceChildren(make("h1", {}, "Unknown link"),
      make("p", {}, "No atlas and no feature has this address. These can be opened:"),
      make("ul", {}, list.map((one) => make("li", {},
        make("a", { href: `#/${one.name}` }, `${one.title} (${plural(one.features, "feature")})`)))));
    route = null;
  }

  function frame(list) {
    const { name } = explorer.atlas;
    const select = document.getElementById("atlases");
    select.replaceChildren(...list.map((one) => make("option", { value: one.name, selected: one.name === name }, one.title)));
    select.onchange = () => { location.hash = `#/${select.value}`; };
    document.getElementById("to-list").href = `#/${name}`;
    document.getElementById("to-blind").href = `#/${name}/blind`;
  }

  /** Load the neighbours of a feature, so that the next key press finds them here. */
  function ahead(uid) {
    for (const step of [1, -1]) {
      const next = neighbour(uid, step);
      if (next) explorer.load(explorer.atlas.name, next).catch(() => {});
    }
  }
  function neighbour(uid, step) {
    const order = explorer.list.order().map((at) => explorer.atlas.features.uid[at]);
    const at = order.indexOf(uid);
    return at < 0 ? order[0] : order[at + step];
  }
  /** Where a feature stands in the list as it is filtered and sorted. */
  explorer.place = (uid) => {
    const order = explorer.list.order().map((at) => explorer.atlas.features.uid[at]);
    return order.includes(uid)
      ? `${order.indexOf(uid) + 1} of ${order.length} in the list`
      : `not among the ${order.length} in the list`;
  };
  explorer.move = (step) => {
    if (route?.kind === "feature") {
      const next = neighbour(route.uid, step);
      if (next) location.hash = `#/${explorer.atlas.name}/${next}`;
      else say(step > 0 ? "This is the last one of the list." : "This is the first one of the list.");
    } else if (route?.kind === "item") {
      const number = route.number + step;
      const last = explorer.blind.progress(explorer.atlas).list.length;
      location.hash = `#/${explorer.atlas.name}/blind${number >= 1 && number <= last ? `/${number}` : ""}`;
    }
  };
  explorer.refresh = go;
  // The last answer of a pass changes what every item shows, so the reader is told and starts afresh.
  document.addEventListener("explorer-saved", () => {
    if (route?.kind !== "item") return;
    const { pass, done } = explorer.blind.progress(explorer.atlas);
    if (pass === 2 && !done.some(Boolean)) location.hash = `#/${explorer.atlas.name}/blind`;
  });

  const help = document.getElementById("help");
  document.getElementById("help-open").onclick = () => help.showModal();
  document.getElementById("theme").onclick = explorer.theme.next;
  document.querySelector(".skip").onclick = (event) => { event.preventDefault(); document.getElementById("main").focus(); };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea, [contenteditable]");
    if (typing || help.open || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.startsWith("Arrow") && event.target.closest(".scroll")) return; // they scroll a table that has the focus
    const [next, previous] = [() => explorer.move(1), () => explorer.move(-1)];
    const acts = { j: next, ArrowRight: next, k: previous, ArrowLeft: previous, "?": () => help.showModal(), "/": find };
    if (!Object.hasOwn(acts, event.key)) return;
    event.preventDefault();
    acts[event.key]();
  });
  async function find() {
    if (route?.kind !== "list" && explorer.atlas) {
      history.pushState(null, "", `#/${explorer.atlas.name}`);
      await go();
    }
    explorer.list.focus();
  }
  addEventListener("hashchange", go);
  explorer.theme.apply();
  go();
})();
