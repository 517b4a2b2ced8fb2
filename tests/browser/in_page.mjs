// Functions that check.mjs runs inside the page; each stands alone, because only its source text travels there.

/** Opens closed boxes and hidden solutions, so that what is inside is drawn and judged too. */
export function openEverything() {
  document.querySelectorAll("details").forEach((box) => (box.open = true));
  document.querySelectorAll(".toggle-hidden > button.toggle-button, .toggle-hidden > .admonition-title")
    .forEach((button) => button.closest(".toggle-hidden") && button.click());
}

/** What is wrong with the page as it stands, and how much was drawn. */
export function inspectPage() {
  const problems = [];
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const marksOf = (chart) => all("svg.marks g.role-mark > :is(path, text, line, image)", chart).length;

  const charts = all("div.vl-chart");
  charts.forEach((chart, place) => {
    const { description } = JSON.parse(chart.nextElementSibling.textContent);
    if (!description) problems.push(`chart ${place + 1} has no description`);
    else if (chart.getAttribute("aria-label") !== description) problems.push(`chart ${place + 1} is not named by its description`);
    if (!chart.querySelector("svg.marks")) {
      problems.push(`chart ${place + 1} was not drawn (${chart.dataset.state || "it has no width"})`);
    } else if (!marksOf(chart)) problems.push(`chart ${place + 1} shows no mark`);
  });

  const maths = all(".math").length;
  const drawn = all("mjx-container").length;
  if (maths !== drawn) problems.push(`${drawn} of ${maths} formulas were drawn`);
  if (all('mjx-container [data-mml-node="mtext"][fill="red"]').length) {
    const names = all('mjx-assistive-mml mtext[mathcolor="red"]').map((node) => node.textContent);
    problems.push(`unknown commands in formulas: ${names.join(" ")}`);
  }
  if (all('mjx-container [data-mml-node="merror"]').length) problems.push("a formula is an error");

  const width = document.documentElement.scrollWidth;
  if (width > window.innerWidth) {
    const wide = all("body *").find((node) => node.getBoundingClientRect().right > window.innerWidth + 1);
    problems.push(`scrolls sideways: ${width} px wide, first ${wide?.tagName}.${wide?.className}`);
  }
  const text = document.body.innerText;
  for (const trace of ["<vega-lite:", "Traceback (most recent call last)", "@@"]) {
    if (text.includes(trace)) problems.push(`shows "${trace}"`);
  }
  all("img").filter((image) => image.complete && !image.naturalWidth && image.offsetParent)
    .forEach((image) => problems.push(`picture ${image.getAttribute("src")} is broken`));
  const { theme } = document.documentElement.dataset;
  return { problems, theme, counts: { charts: charts.length, maths, marks: charts.map(marksOf) } };
}

/** Moves each control of each chart once and tells whether the picture followed. */
export async function moveControls() {
  const results = [];
  for (const chart of document.querySelectorAll("div.vl-chart")) {
    const picture = () => chart.querySelector("svg.marks").innerHTML;
    const marks = () => chart.querySelectorAll("svg.marks g.role-mark > :is(path, text, line, image)").length;
    const groups = new Set(); // radio buttons of one name are one control
    for (const control of chart.querySelectorAll(".vega-bindings :is(input, select)")) {
      if (control.type === "radio" && (control.checked || groups.has(control.name))) continue;
      groups.add(control.name);
      const name = control.closest(".vega-bind")?.querySelector(".vega-bind-name")?.textContent.trim() ?? control.name;
      const [shape, before] = [picture(), marks()];
      if (control.tagName === "SELECT") {
        control.selectedIndex = control.selectedIndex === control.length - 1 ? 0 : control.length - 1;
      } else if (control.type === "range" || control.type === "number") {
        const [low, high, step] = [control.min, control.max, control.step].map(Number);
        const goal = low + Math.round((0.7 * (high - low)) / (step || 1)) * (step || 1);
        control.value = Number(control.value) === goal ? high : goal;
      } else {
        control.checked = !control.checked;
      }
      for (const type of ["input", "change"]) control.dispatchEvent(new Event(type, { bubbles: true }));
      await chart.view.runAsync();
      await new Promise((done) => setTimeout(done, 100)); // a binding may wait before it speaks
      await chart.view.runAsync();
      const value = control.tagName === "SELECT" ? control.selectedOptions[0].textContent : control.value;
      results.push({ name, kind: control.type, value, before, after: marks(), changed: picture() !== shape });
    }
  }
  return results;
}

/** Sorts each table by each column both ways and filters it, judging the result with its own comparison. */
export function tryTables() {
  const undefinedCell = (text) => text === "" || text === "NaN" || text.startsWith("undefined");
  return [...document.querySelectorAll(".pb-sortable")].map((box, place) => {
    const problems = [];
    const table = box.querySelector("table");
    const heads = [...table.tHead.rows[0].cells];
    const rows = () => [...table.tBodies[0].rows];
    const total = rows().length;
    heads.forEach((head, column) => {
      const where = `table ${place + 1}, column ${head.textContent}`;
      for (const direction of ["ascending", "descending"]) {
        head.querySelector("button")?.click();
        if (head.getAttribute("aria-sort") !== direction) problems.push(`${where}: not marked ${direction}`);
        const texts = rows().map((row) => row.cells[column].textContent.trim());
        const defined = texts.filter((text) => !undefinedCell(text));
        if (texts.slice(0, defined.length).some(undefinedCell)) problems.push(`${where}: undefined is not last`);
        if (!defined.every((text) => /^[-+\u2212]?\d/.test(text))) continue; // order of words is a matter of locale
        const numbers = defined.map((text) => parseFloat(text.replace("\u2212", "-")));
        const sign = direction === "ascending" ? 1 : -1;
        if (numbers.some((n, i) => i && sign * (n - numbers[i - 1]) < 0)) problems.push(`${where}: not ${direction}`);
      }
    });
    if (rows().length !== total) problems.push(`table ${place + 1}: sorting lost rows`);
    const field = box.querySelector("input[type=search]");
    if (!field) {
      if (total >= 15) problems.push(`table ${place + 1}: ${total} rows and no filter`); // short tables have none
      return { rows: total, columns: heads.length, filtered: false, problems };
    }
    const word = rows()[0]?.cells[0].textContent.trim().toLowerCase() ?? "";
    field.value = word;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    const shown = rows().filter((row) => row.offsetParent);
    const expected = rows().filter((row) => word.split(/\s+/).every((w) => row.textContent.toLowerCase().includes(w)));
    if (shown.length !== expected.length) problems.push(`table ${place + 1}: filter "${word}" shows ${shown.length}`);
    if (!box.querySelector("output").textContent.startsWith(`${expected.length} of ${total}`)) {
      problems.push(`table ${place + 1}: the count of rows is wrong`);
    }
    field.value = "";
    field.dispatchEvent(new Event("input", { bubbles: true }));
    return { rows: total, columns: heads.length, filtered: true, problems };
  });
}
