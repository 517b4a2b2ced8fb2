// The form beside a feature, the records that it makes, and what is measured meanwhile: time seen and panels used.
"use strict";

explorer.annotations = (() => {
  const { make, store, records, say } = explorer;
  const drafts = new Map(); // key of an item -> what stands in its form and is not saved
  let item = null; // {uid, pass, repeat_of, blind} that is shown
  const FIELDS = ["interpretable", "label", "ontology_ids", "confidence", "usefulness", "comment"];
  let parts = null;

  /** Who annotates, or null. */
  const who = () => {
    const one = store.get("who");
    return one && records.HEAD.study_id[1](one.study) && records.HEAD.annotator_code[1](one.code) ? one : null;
  };
  const address = (atlas, one) => `records:${atlas.about.artefact_hash}:${one.study}:${one.code}`;
  /** Records of one annotator (the present one unless named) of one atlas, all versions. */
  const kept = (atlas = explorer.atlas, one = who()) => {
    const held = one ? store.get(address(atlas, one), []) : [];
    return Array.isArray(held) ? held : [];
  };
  /** Add records; none is ever overwritten. */
  const add = (more, atlas = explorer.atlas, one = who()) =>
    store.set(address(atlas, one), records.union(kept(atlas, one), more));

  /** uid -> the annotator's label, or answer, for the list; blind answers stay out of it, they would name what is hidden. */
  function labels() {
    return new Map(kept().filter((one) => !one.blind).map((one) => [one.feature_uid, one.label || one.interpretable]));
  }

  // Time in which the feature could be seen, and panels that came into view.
  let [seen, since] = [0, 0];
  let used = new Set();
  const watched = [];
  const tick = () => {
    const now = performance.now();
    if (since) seen += now - since;
    since = document.hidden || !item ? 0 : now;
  };
  document.addEventListener("visibilitychange", tick);
  const watcher = new IntersectionObserver((entries) => entries.forEach((one) => {
    if (one.isIntersecting && (one.intersectionRatio >= 0.5 || one.intersectionRect.height >= 240)) used.add(one.target.dataset.panel);
  }), { threshold: [0, 0.25, 0.5, 0.75, 1] });

  function radios(name, legend, options) {
    return make("fieldset", { class: "radios" }, make("legend", {}, legend),
      options.map(([value, text]) => make("label", {}, make("input", { type: "radio", name, value }), text)));
  }

  function build() {
    const scale = [["", "\u2013"], ...[1, 2, 3, 4, 5].map((one) => [String(one), String(one)])];
    const form = make("form", { class: "annotation", novalidate: true, on: { submit: save, input: draft } },
      radios("interpretable", "Interpretable?", [["yes", "yes"], ["no", "no"], ["unsure", "unsure"]]),
      make("label", {}, "Label (at most 80 characters)", make("input", { name: "label", maxlength: 80, autocomplete: "off" })),
      make("label", {}, "Ontology identifiers",
        make("input", { name: "ontology_ids", placeholder: "GO:0034340 CL:0000236", autocomplete: "off" })),
      radios("confidence", "Confidence, 1 low to 5 high", scale), radios("usefulness", "Usefulness, 1 low to 5 high", scale),
      make("label", {}, "Comment", make("textarea", { name: "comment", rows: 3, maxlength: 5000 })),
      make("button", { class: "primary" }, "Save"));
    const state = make("p", { class: "state", role: "status" });
    const person = explorer.person(() => { explorer.refresh(); });
    const aside = make("aside", { class: "side", id: "annotate", "aria-label": "Annotation" }, make("h2", {}, "Your annotation"),
      person.element, form, state, explorer.exchange());
    parts = { form, state, person, aside };
    return aside;
  }

  function read() {
    const { elements } = parts.form;
    return Object.fromEntries(FIELDS.map((name) => [name, elements[name].value]));
  }
  function fill(values) {
    parts.form.reset();
    for (const [name, value] of Object.entries(values)) parts.form.elements[name].value = value;
  }
  const key = () => records.key({ feature_uid: item.uid, pass: item.pass, repeat_of: item.repeat_of, blind: item.blind });
  function draft() {
    drafts.set(`${explorer.atlas.name}/${key()}`, read());
    parts.state.textContent = "Not saved yet.";
    parts.state.classList.remove("failed");
  }

  function save(event) {
    event.preventDefault();
    const fail = (sentence) => { parts.state.textContent = sentence; parts.state.classList.add("failed"); };
    if (!who()) return fail("Give a study and an annotator code first.");
    const values = read();
    tick();
    const record = {
      feature_uid: item.uid, interpretable: values.interpretable, label: values.label.trim(),
      ontology_ids: values.ontology_ids.split(/[\s,;]+/).filter(Boolean),
      confidence: values.confidence ? Number(values.confidence) : null,
      usefulness: values.usefulness ? Number(values.usefulness) : null,
      panels_used: [...used].sort(), seconds: Math.round(seen / 100) / 10, comment: values.comment.trim(),
      repeat_of: item.repeat_of, pass: item.pass, blind: item.blind, saved: new Date().toISOString(),
    };
    if (!record.interpretable) return fail("Say whether it is interpretable: yes, no or unsure.");
    const wrong = Object.entries(records.RECORD).find(([name, [, holds]]) => !holds(record[name]));
    if (wrong) return fail(`${wrong[0].replaceAll("_", " ")}: must be ${wrong[1][0]}.`);
    const lasting = add([record]);
    drafts.delete(`${explorer.atlas.name}/${key()}`);
    parts.state.classList.remove("failed");
    parts.state.textContent = lasting
      ? "Saved in this browser."
      : "Saved for as long as this page is open: the browser gives no storage. Export before you leave.";
    document.dispatchEvent(new Event("explorer-saved"));
    say(parts.state.textContent);
  }

  /** Show the form of an item: its draft, else its last version, else empty. */
  function show(one) {
    tick();
    const same = item && JSON.stringify(item) === JSON.stringify(one);
    item = one;
    if (!same) {
      [seen, used] = [0, new Set()];
      watcher.disconnect(); // observed anew, a panel that stays in view counts for this item too
      watched.forEach((element) => watcher.observe(element));
    }
    tick();
    const values = drafts.get(`${explorer.atlas.name}/${key()}`);
    const last = records.latest(kept(), { feature_uid: item.uid, pass: item.pass, repeat_of: item.repeat_of, blind: item.blind });
    const held = last && { ...last, ontology_ids: last.ontology_ids.join(" ") };
    fill(values ?? (held ? Object.fromEntries(FIELDS.map((name) => [name, String(held[name] ?? "")])) : {}));
    parts.state.classList.remove("failed");
    parts.state.textContent = values ? "Not saved yet." : last ? `Saved ${last.saved.slice(0, 16).replace("T", " ")} UTC.`
      : store.lasts() ? "Not annotated yet." : "The browser gives no storage: what you save lasts as long as this page. Export before you leave.";
    parts.person.show();
  }

  /** Nothing is shown any more, so that no time counts. */
  function rest() {
    tick();
    item = null;
    since = 0;
  }
  addEventListener("beforeunload", (event) => { if (drafts.size) event.preventDefault(); });
  return { who, kept, add, labels, build, show, rest, watch: (element) => watched.push(element) };
})();
