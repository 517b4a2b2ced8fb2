// Annotation records: what a file may hold, and how two sets of records become one. Nothing here touches the page.
"use strict";

explorer.records = (() => {
  const [MOST_BYTES, MOST_RECORDS] = [5_000_000, 20_000];
  const text = (most) => [`text of at most ${most} characters`, (v) => typeof v === "string" && [...v].length <= most && !/[\0\ud800-\udfff]/u.test(v)];
  const like = (pattern, words) => [words, (v) => typeof v === "string" && pattern.test(v)];
  const whole = (low, high) => (v) => Number.isInteger(v) && v >= low && v <= high;
  const scale = ["null or a whole number from 1 to 5", (v) => v === null || whole(1, 5)(v)];
  const words = (of) => [`a list of at most 100 ${of}`,
    (v) => Array.isArray(v) && v.length <= 100 && v.every((one) => typeof one === "string" && /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$/.test(one))];
  const instant = (v) => typeof v === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/.test(v) && !Number.isNaN(Date.parse(v));
  const name = like(/^[A-Za-z0-9_-]{1,64}$/, "1 to 64 letters, digits, _ or -");

  /** Field -> [what it must be, whether a value is]. The order is that of a CSV. */
  const HEAD = {
    schema_version: ["1, the version that is read here", (v) => v === 1],
    artefact_hash: like(/^[0-9a-f]{64}$/, "a sha256 of 64 hexadecimal digits"),
    atlas: name,
    study_id: text(64),
    annotator_code: like(/^[A-Za-z0-9_-]{1,32}$/, "1 to 32 letters, digits, _ or -"),
  };
  const RECORD = {
    feature_uid: name,
    interpretable: ["yes, no or unsure", (v) => ["yes", "no", "unsure"].includes(v)],
    label: text(80),
    ontology_ids: words("identifiers such as GO:0006955"),
    confidence: scale,
    usefulness: scale,
    panels_used: words("names of panels"),
    seconds: ["a number of seconds from 0 on", (v) => Number.isFinite(v) && v >= 0 && v < 2 ** 53],
    comment: text(5000),
    repeat_of: ["null or a feature", (v) => v === null || name[1](v)],
    pass: ["1 or 2", whole(1, 2)],
    blind: ["true or false", (v) => typeof v === "boolean"],
    saved: ["an instant in UTC such as 2026-01-31T09:00:00.000Z", instant],
  };
  const brief = (value) => { const shown = JSON.stringify(value) ?? "nothing"; return shown.length > 60 ? `${shown.slice(0, 57)}...` : shown; };

  function checkFields(values, fields, where) {
    if (values === null || typeof values !== "object" || Array.isArray(values)) {
      throw new Error(`${where} is not a set of named fields. Nothing was read.`);
    }
    const strange = Object.keys(values).find((one) => !Object.hasOwn(fields, one));
    if (strange !== undefined) throw new Error(`${where} has the unknown field ${brief(strange)}. Nothing was read.`);
    for (const [field, [must, holds]] of Object.entries(fields)) {
      if (!Object.hasOwn(values, field)) {
        throw new Error(`${where} lacks the field ${field}. Nothing was read; export the file again.`);
      }
      if (!holds(values[field])) {
        throw new Error(`${where}, field ${field}: ${brief(values[field])} is not ${must}. Nothing was read.`);
      }
    }
  }

  /** Check a whole file against the atlas it must be of; throws an Error with one sentence for the reader. */
  function check(file, atlas) {
    const list = [`a list of at most ${MOST_RECORDS.toLocaleString("en")} records`,
      (v) => Array.isArray(v) && v.length <= MOST_RECORDS];
    checkFields(file, { ...HEAD, pass: RECORD.pass, records: list }, "The file");
    if (file.artefact_hash !== atlas.about.artefact_hash) {
      throw new Error(`The file annotates another artefact (${file.artefact_hash.slice(0, 12)}..., here ${atlas.about.artefact_hash.slice(0, 12)}...). Nothing was read; open the atlas that it was made with.`);
    }
    if (file.atlas !== atlas.name) {
      throw new Error(`The file annotates the atlas ${brief(file.atlas)}, not ${atlas.name}. Nothing was read.`);
    }
    file.records.forEach((record, n) => {
      const where = `Record ${n + 1}`;
      checkFields(record, RECORD, where);
      if (!atlas.index.has(record.feature_uid)) {
        throw new Error(`${where} names ${brief(record.feature_uid)}, which this atlas does not have. Nothing was read.`);
      }
      if (record.repeat_of !== null && record.repeat_of !== record.feature_uid) {
        throw new Error(`${where}, field repeat_of: ${brief(record.repeat_of)} is neither null nor the record's own feature. Nothing was read.`);
      }
    });
    return file;
  }

  const plain = (record) => JSON.stringify(Object.keys(RECORD).map((field) => record[field]));
  const before = (a, b) => Date.parse(a.saved) - Date.parse(b.saved) || (plain(a) < plain(b) ? -1 : 1);

  /** All records of both, each once, in the order in which they were saved: the same whichever comes first. */
  function union(first, second) {
    const kept = new Map([...first, ...second].map((record) => [plain(record), record]));
    return [...kept.values()].sort(before);
  }

  /** The version that counts of one item: the one saved last, or undefined. What was said openly never counts for a blind item. */
  const key = ({ feature_uid, pass, repeat_of, blind }) => `${feature_uid}/${pass}/${repeat_of ?? ""}/${blind ? "blind" : "open"}`;
  const latest = (records, item) => records.filter((one) => key(one) === key(item)).sort(before).at(-1);

  /** A file of one annotator and one atlas. */
  function file(atlas, who, records) {
    return { schema_version: 1, artefact_hash: atlas.about.artefact_hash, atlas: atlas.name, study_id: who.study,
      annotator_code: who.code, pass: records.at(-1)?.pass ?? 1, records };
  }
  return { HEAD, RECORD, MOST_BYTES, MOST_RECORDS, check, union, latest, key, file };
})();
