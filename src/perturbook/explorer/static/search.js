// Which features a reader's words and choices leave over, and in what order.
"use strict";

explorer.search = (() => {
  /** Choices that leave everything. */
  const none = () => ({ words: "", arm: "", status: "", value: "", mine: "", terms: "", least: "", most: "" });
  const ARM = { sae: "concept", neuron: "neuron" };

  /** Text of every feature that words are looked for in; genes and terms join it when `find` has come. */
  function haystacks(atlas) {
    const of = atlas.features;
    const texts = of.uid.map((uid, at) => [uid, ARM[of.arm[at]] ?? of.arm[at], of.label[at], of.value[at]].join(" "));
    for (const kind of ["genes", "terms"]) {
      const held = atlas.find?.[kind];
      held?.name.forEach((name, n) => held.features[n].forEach((at) => { texts[at] += ` ${name} ${name.replaceAll("_", " ")}`; }));
    }
    return texts.map((text) => text.toLowerCase());
  }

  /** Places of the features that match, sorted. Undefined values come last in either direction. */
  function matches(atlas, choice, sort, labels) {
    const of = atlas.features;
    atlas.texts ??= haystacks(atlas);
    const words = choice.words.toLowerCase().split(/\s+/).filter(Boolean);
    const least = choice.least === "" ? -Infinity : Number(choice.least) / 100;
    const most = choice.most === "" ? Infinity : Number(choice.most) / 100;
    const kept = [];
    for (let at = 0; at < of.uid.length; at++) {
      const own = labels.get(of.uid[at]);
      if (choice.arm && of.arm[at] !== choice.arm) continue;
      if (choice.status && (of.status[at] === "attributed") !== (choice.status === "attributed")) continue;
      if (choice.value && JSON.stringify([of.label[at], of.value[at]]) !== choice.value) continue;
      if (choice.mine && (own !== undefined) !== (choice.mine === "yes")) continue;
      if (choice.terms && of.terms[at] > 0 !== (choice.terms === "yes")) continue;
      if (of.share[at] < least || of.share[at] > most) continue;
      const text = own ? `${atlas.texts[at]} ${own.toLowerCase()}` : atlas.texts[at];
      if (words.every((word) => text.includes(word))) kept.push(at);
    }
    const column = of[sort.by];
    const way = sort.down ? -1 : 1;
    const empty = (value) => value === null || value === "";
    return kept.sort((a, b) => {
      const [x, y] = [column[a], column[b]];
      if (empty(x) || empty(y)) return empty(x) - empty(y) || a - b;
      if (x === y || sort.by === "number") return way * (a - b); // by kind, then number
      return way * (typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y);
    });
  }

  /** Genes and terms are loaded when they are first wanted. */
  async function wake(atlas) {
    if (atlas.find) return;
    atlas.find = await explorer.load(atlas.name, "find");
    atlas.texts = null;
  }
  return { none, matches, wake, ARM };
})();
