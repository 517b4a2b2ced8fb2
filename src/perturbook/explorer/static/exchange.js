// Who annotates, and records as files: export and import, JSON and CSV.
"use strict";

/** Fields that ask once for study and annotator code; `then` runs after a change. */
explorer.person = (then) => {
  const { make, store, records } = explorer;
  const field = (name, most) => make("input",
    { name, maxlength: most, autocomplete: "off", spellcheck: "false", required: true });
  const [study, code] = [field("study", 64), field("code", 32)];
  const wrong = make("p", { class: "state failed", role: "status" });
  const form = make("form", { class: "person", novalidate: true, on: { submit: keep } },
    make("p", {}, "Asked once and kept in this browser. Use a pseudonym; no name, no address."),
    make("label", {}, "Study", study), make("label", {}, "Annotator code", code), make("button", {}, "Use"), wrong);
  const told = make("span");
  const change = make("button", { type: "button", on: { click: () => { form.hidden = false; study.focus(); } } }, "Change");
  const line = make("p", { class: "row" }, told, change);
  const element = make("div", {}, line, form);

  function keep(event) {
    event.preventDefault();
    const one = { study: study.value.trim(), code: code.value.trim() };
    wrong.textContent = !one.study
      ? "Give the name of the study."
      : records.HEAD.annotator_code[1](one.code) ? "" : "An annotator code has 1 to 32 letters, digits, _ or -.";
    if (wrong.textContent) return;
    store.set("who", one);
    show();
    then();
  }
  function show() {
    const one = explorer.annotations.who();
    [line.hidden, form.hidden] = [!one, Boolean(one)];
    told.textContent = one ? `Study ${one.study}, annotator ${one.code}` : "";
    if (one) [study.value, code.value] = [one.study, one.code];
  }
  return { element, show };
};

/** Buttons that write and read annotation files. */
explorer.exchange = () => {
  const { make, records, recordsCsv, say, plural } = explorer;
  const input = make("input",
    { type: "file", accept: ".json,.csv", on: { change: () => input.files[0] && take(input.files[0]) } });

  function give(kind) {
    const one = explorer.annotations.who();
    const held = explorer.annotations.kept();
    if (!one || !held.length) return say("There is nothing to export: no record of this annotator and atlas is kept here.", true);
    const file = records.file(explorer.atlas, one, held);
    const text = kind === "csv" ? recordsCsv.write(file) : `${JSON.stringify(file, null, 1)}\n`;
    const url = URL.createObjectURL(new Blob([text], { type: kind === "csv" ? "text/csv" : "application/json" }));
    const name = [explorer.atlas.name, one.code].join("-");
    const link = make("a", { href: url, download: `${name}.${kind}` });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
    say(`Exported ${plural(held.length, "record")}.`);
  }

  async function take(chosen) {
    const { atlas } = explorer;
    try {
      if (chosen.size > records.MOST_BYTES) {
        throw new Error(`${chosen.name} has ${chosen.size.toLocaleString("en")} bytes, more than the ${records.MOST_BYTES.toLocaleString("en")} that are read. Nothing was read.`);
      }
      const text = new TextDecoder("utf-8", { fatal: true }).decode(await chosen.arrayBuffer());
      const file = records.check(chosen.name.endsWith(".csv") ? recordsCsv.parse(text) : parse(text), atlas);
      const one = { study: file.study_id, code: file.annotator_code };
      const before = explorer.annotations.kept(atlas, one).length;
      if (records.union(explorer.annotations.kept(atlas, one), file.records).length > records.MOST_RECORDS) {
        throw new Error("Together with what is kept here these are too many records. Nothing was read.");
      }
      const lasting = explorer.annotations.add(file.records, atlas, one);
      const added = explorer.annotations.kept(atlas, one).length - before;
      await explorer.refresh();
      say(`Imported ${plural(file.records.length, "record")} of annotator ${one.code}, study ${one.study}; ${added} new, none overwritten.${lasting ? "" : " The browser gives no storage: they last as long as this page."}`);
    } catch (error) {
      const known = !(error instanceof TypeError);
      say(known ? error.message : `${chosen.name} is no text in UTF-8. Nothing was read.`, true);
    } finally {
      input.value = "";
    }
  }

  function parse(text) {
    try {
      return JSON.parse(text.replace(/^\ufeff/, ""));
    } catch {
      throw new Error("The file is no whole JSON. Nothing was read; export it again.");
    }
  }
  const button = (kind) => make("button", { type: "button", on: { click: () => give(kind) } }, `Export ${kind.toUpperCase()}`);
  return make("div", { class: "exchange" }, make("h3", {}, "Files"), make("p", { class: "row" }, button("json"), button("csv")),
    make("label", {}, "Import JSON or CSV", input),
    make("p", { class: "small" }, "A file holds one annotator and one atlas. Import adds versions and overwrites none."));
};
