// Annotation files as CSV after RFC 4180, and back without loss; no field is a formula to a spreadsheet.
"use strict";

explorer.recordsCsv = (() => {
  const { HEAD, RECORD } = explorer.records;
  const COLUMNS = [...Object.keys(HEAD), ...Object.keys(RECORD)];
  const LISTS = ["ontology_ids", "panels_used"];
  // Apostrophes that stand before such a character already are counted in, so that reading takes away just the one that writing put.
  const FORMULA = /^'*[=+\-@\t\r]/;

  function field(value) {
    if (value === null) return "";
    if (typeof value !== "string" && !Array.isArray(value)) return String(value);
    const text = Array.isArray(value) ? value.join(";") : value;
    const safe = FORMULA.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  }

  /** Text of a file: one row per record. */
  function write(file) {
    const lines = file.records.map((record) => COLUMNS.map((name) => field(name in HEAD ? file[name] : record[name])));
    return [COLUMNS, ...lines].map((line) => `${line.join(",")}\r\n`).join("");
  }

  function split(text) {
    const rows = [];
    let [row, held, quoted, closed] = [[], "", false, false];
    const endField = () => { row.push(held); held = ""; closed = false; };
    const endRow = () => { endField(); rows.push(row); row = []; };
    for (let at = 0; at < text.length; at++) {
      const one = text[at];
      if (quoted) {
        if (one !== '"') held += one;
        else if (text[at + 1] === '"') { held += one; at++; } else [quoted, closed] = [false, true];
      } else if (one === '"' && held === "" && !closed) quoted = true;
      else if (one === ",") endField();
      else if (one === "\n" || (one === "\r" && text[at + 1] === "\n")) { if (one === "\r") at++; endRow(); }
      else if (closed || one === '"') throw new Error("The CSV has a quotation mark in the middle of a field. Nothing was read; export the file again.");
      else held += one;
    }
    if (quoted) throw new Error("The CSV ends inside a quotation. Nothing was read; export the file again.");
    if (held !== "" || row.length) endRow();
    return rows;
  }

  const bare = (text) => (text.startsWith("'") && FORMULA.test(text) ? text.slice(1) : text);
  const number = (text) => (/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text) ? Number(text) : text);
  const READ = {
    schema_version: number, pass: number, seconds: number,
    confidence: (text) => (text === "" ? null : number(text)),
    usefulness: (text) => (text === "" ? null : number(text)),
    repeat_of: (text) => bare(text) || null,
    blind: (text) => ({ true: true, false: false })[text] ?? text,
    ...Object.fromEntries(LISTS.map((name) => [name, (text) => (text === "" ? [] : bare(text).split(";"))])),
  };
  const read = (name, value) => (READ[name] ?? bare)(value);

  /** What a JSON file of the same records holds, values unchecked; throws an Error with one sentence. */
  function parse(text) {
    const [head, ...lines] = split(text);
    if (!head || head.join() !== COLUMNS.join()) {
      throw new Error(`The CSV must begin with the columns ${COLUMNS.join(", ")}. Nothing was read.`);
    }
    if (!lines.length) throw new Error("The CSV holds no record. Nothing was read.");
    const size = Object.keys(HEAD).length;
    const records = lines.map((line, n) => {
      if (line.length !== COLUMNS.length) {
        throw new Error(`Record ${n + 1} has ${line.length} fields, not ${COLUMNS.length}. Nothing was read.`);
      }
      if (line.slice(0, size).some((value, at) => value !== lines[0][at])) {
        throw new Error(`Record ${n + 1} is of another file than record 1. Nothing was read.`);
      }
      return Object.fromEntries(Object.keys(RECORD).map((name, at) => [name, read(name, line[size + at])]));
    });
    const held = Object.fromEntries(Object.keys(HEAD).map((name, at) => [name, read(name, lines[0][at])]));
    return { ...held, pass: records.at(-1).pass, records };
  }
  return { write, parse };
})();
