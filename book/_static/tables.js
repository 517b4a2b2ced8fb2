// Makes each table inside .pb-sortable sortable and filterable. Numbers sort as numbers; "undefined" always comes last.
// data-filters="setting,metric" on the container adds a menu for each named column.
(() => {
  "use strict";
  const SHORT = 15; // rows that an eye filters faster than a field
  const text = (row, column) => row.cells[column].textContent.trim();
  const number = (value) => parseFloat(value.replace("\u2212", "-"));
  const undefinedCell = (value) => /^(undefined.*|nan|)$/i.test(value);

  function compare(a, b, sign) {
    if (undefinedCell(a) || undefinedCell(b)) return undefinedCell(a) - undefinedCell(b);
    const [x, y] = [number(a), number(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return sign * a.localeCompare(b, "en", { numeric: true });
    return sign * (x - y);
  }

  function add(parent, tag, properties) {
    return parent.appendChild(Object.assign(document.createElement(tag), properties));
  }

  function makeSortable(heads, body) {
    heads.forEach((head, column) => {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "pb-sort" });
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((other) => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...body.rows].map((row) => [text(row, column), row]);
        rows.sort(([a], [b]) => compare(a, b, up ? 1 : -1)); // stable: an earlier sort breaks ties
        body.append(...rows.map(([, row]) => row));
      });
    });
  }

  function makeFilterable(box, table, heads, body) {
    const bar = document.createElement("div");
    bar.className = "pb-controls";
    const menus = (box.dataset.filters || "").split(",").flatMap((name) => {
      const column = heads.findIndex((head) => head.textContent.trim() === name.trim());
      if (column < 0) return [];
      const label = add(bar, "label", { textContent: `${name.trim()} ` });
      const menu = add(label, "select", {});
      add(menu, "option", { value: "", textContent: "all" });
      [...new Set([...body.rows].map((row) => text(row, column)))]
        .sort((a, b) => a.localeCompare(b, "en", { numeric: true }))
        .forEach((value) => add(menu, "option", { value, textContent: value }));
      return [[menu, column]];
    });
    const field = add(add(bar, "label", { textContent: "Filter rows " }), "input", { type: "search" });
    const count = add(bar, "output", {});
    const apply = () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of body.rows) {
        const line = row.textContent.toLowerCase();
        row.hidden = !(words.every((word) => line.includes(word)) &&
          menus.every(([menu, column]) => !menu.value || text(row, column) === menu.value));
        shown += !row.hidden;
      }
      count.textContent = `${shown} of ${body.rows.length} rows`;
    };
    bar.addEventListener("input", apply);
    const scroll = document.createElement("div");
    Object.assign(scroll, { className: "pb-scroll", tabIndex: 0 });
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", table.caption?.textContent || "Sortable table");
    const short = body.rows.length < SHORT && !menus.length;
    table.replaceWith(...(short ? [] : [bar]), scroll);
    scroll.append(table);
    apply();
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const cell of document.querySelectorAll(".cell_output td")) {
      // a number, and no name that begins with one, such as 4-iodo-6-phenylpyrimidine
      if (/^[-+\u2212]?\d[\d.,]*(?:e[-+]?\d+)?(?![\w'\u2019-])|^undefined/.test(cell.textContent.trim())) cell.classList.add("pb-number");
    }
    for (const table of document.querySelectorAll(".pb-sortable table")) {
      const [heads, body] = [[...(table.tHead?.rows[0]?.cells || [])], table.tBodies[0]];
      if (!heads.length || !body) continue;
      makeFilterable(table.closest(".pb-sortable"), table, heads, body);
      makeSortable(heads, body);
    }
  });
})();
