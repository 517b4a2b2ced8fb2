// Blind mode: concepts and neurons mixed in an order fixed by artefact and annotator, some of them asked twice.
"use strict";

explorer.blind = (() => {
  const { make, plural } = explorer;
  const [PER_ARM, REPEATED, APART] = [20, 0.1, 5]; // features of each kind; share asked twice; items in between
  let person = null;

  /** Random numbers in [0, 1) that depend on a text alone (FNV-1a, then a 32-bit mixing generator). */
  function random(text) {
    let state = 2166136261;
    for (const byte of new TextEncoder().encode(text)) state = Math.imul(state ^ byte, 16777619);
    return () => {
      state = (state + 0x9e3779b9) | 0;
      let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
      mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
      return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
    };
  }
  function shuffled(list, draw) {
    const mixed = [...list];
    for (let at = mixed.length - 1; at > 0; at--) {
      const other = Math.floor(draw() * (at + 1));
      [mixed[at], mixed[other]] = [mixed[other], mixed[at]];
    }
    return mixed;
  }

  /** The items of one annotator: {uid, repeat_of}, as many of each kind as there are of the rarer one. */
  function items(atlas, code) {
    const draw = random(`${atlas.about.artefact_hash}/${code}`);
    const of = atlas.features;
    const fit = (at) => of.status[at] === "attributed";
    const places = [...of.uid.keys()].filter(of.uid.some((_, at) => fit(at)) ? fit : (at) => of.active[at] > 0);
    const arms = [...new Set(places.map((at) => of.arm[at]))].sort().map((arm) => places.filter((at) => of.arm[at] === arm));
    const each = Math.min(PER_ARM, ...arms.map((arm) => arm.length));
    const order = shuffled(arms.flatMap((arm) => shuffled(arm, draw).slice(0, each)),
      draw).map((at) => ({ uid: of.uid[at], repeat_of: null }));
    const apart = Math.min(APART, order.length >> 1);
    const again = order.slice(0, order.length - apart);
    for (const one of shuffled(again, draw).slice(0, Math.ceil(REPEATED * order.length))) {
      const first = order.findIndex((item) => item.uid === one.uid) + 1 + apart;
      order.splice(first + Math.floor(draw() * (order.length - first + 1)), 0, { uid: one.uid, repeat_of: one.uid });
    }
    return order;
  }

  /** Where an annotator stands: items, pass, and which of them are answered in it. Pass 2 begins when pass 1 is whole. */
  function progress(atlas) {
    const list = items(atlas, explorer.annotations.who().code);
    const held = new Set(explorer.annotations.kept(atlas).filter((one) => one.blind).map(explorer.records.key));
    const key = (one, pass) => explorer.records.key({ feature_uid: one.uid, pass, repeat_of: one.repeat_of, blind: true });
    const answered = (pass) => list.map((one) => held.has(key(one, pass)));
    const pass = answered(1).every(Boolean) ? 2 : 1;
    return { list, pass, done: answered(pass) };
  }

  /** The first page of blind mode: what it is, who annotates, where to go on. */
  function open(section) {
    const { atlas } = explorer;
    document.title = `Blind mode \u00b7 ${atlas.about.title}`;
    person ??= explorer.person(() => explorer.refresh());
    person.show();
    const told = [make("h1", {}, "Blind mode", ...explorer.badges(atlas.about)),
      make("p", {}, "Concepts of the autoencoder and neurons of the encoder are mixed, as many of one as of the other, in an order of your own. "
      + "Which is which, names and labels are hidden; terms too until you have gone through once. One in ten is asked again later. Answers stay in this browser until you export them."), person.element];
    if (explorer.annotations.who()) {
      const { list, pass, done } = progress(atlas);
      const answered = done.filter(Boolean).length;
      const next = done.indexOf(false);
      told.push(make("p", { id: "progress" },
        list.length ? `Pass ${pass} of 2: ${answered} of ${plural(list.length, "item")} answered.` : "No feature of this atlas can be annotated blind."));
      if (list.length) told.push(make("p", {},
        make("a", { class: "button", href: `#/${atlas.name}/blind/${(next < 0 ? 0 : next) + 1}` },
        next < 0 ? "Look again from the first" : `Go on with item ${next + 1}`)));
    }
    section.replaceChildren(...told, explorer.exchange());
  }
  return { items, progress, open };
})();
