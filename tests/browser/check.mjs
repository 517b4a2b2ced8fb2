// Opens every page of a served site in Chromium, with all other hosts blocked, and reports what it saw.
//
//   echo '{"base": "http://127.0.0.1:8000/", "pages": ["intro.html"], "chromium": "'"$(command -v chromium)"'"}' | node check.mjs
//
// "screenshots" may name a folder for full-page pictures. The report, JSON on standard output, holds for each page:
//   problems       sentences; an empty list is a page without fault
//   accessibility  rules of axe (WCAG 2.1 A and AA) broken with serious or critical impact
//   charts, maths  how many were drawn; marks counts the drawn marks of each chart
//   controls       each slider, menu or button of a chart: marks before and after, and whether the picture changed
//   tables         each sortable table: its rows, and what was wrong with sorting and filtering it

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { inspectPage, openEverything, moveControls, tryTables } from "./in_page.mjs";

const FLAGS = [
  "--no-sandbox", // the tests may run as root inside a container; every page is our own
  "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
const VARIANTS = [1280, 360].flatMap((width) => ["light", "dark"].map((theme) => ({ width, theme })));
const PATIENCE = 30_000; // milliseconds for the charts and formulas of one page
// Markup of the theme, of MyST-NB and of docutils that this project cannot change.
const NOT_OURS = [[".search-button-field"], ["details.hide > summary"], [".citation-list"]];
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const job = JSON.parse(readFileSync(0, "utf8"));
const browser = await chromium.launch({ executablePath: job.chromium, args: FLAGS });
const report = Object.fromEntries(job.pages.map((page) => [page, { problems: [], accessibility: [] }]));
const queue = job.pages.flatMap((page) => VARIANTS.map((variant) => ({ page, ...variant })));
await Promise.all([visitFrom(queue), visitFrom(queue)]);
await browser.close();
process.stdout.write(JSON.stringify(report, null, 1));

async function visitFrom(visits) {
  for (let visit = visits.shift(); visit; visit = visits.shift()) await look(visit);
}

async function look({ page: name, width, theme }) {
  const found = report[name];
  const complain = (sentence) => found.problems.push(`${sentence} [${width} px, ${theme}]`);
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: theme });
  try {
    const page = await context.newPage();
    await record(page, complain);
    await page.goto(new URL(name, job.base).href, { waitUntil: "load", timeout: PATIENCE });
    await settle(page, complain);
    const seen = await page.evaluate(inspectPage);
    seen.problems.forEach(complain);
    if (seen.theme && seen.theme !== theme) complain(`does not follow the reader's choice of ${theme}`);
    if (job.screenshots) {
      const file = `${name.replaceAll("/", "-").replace(/\.html$/, "")}-${width}-${theme}.png`;
      await page.screenshot({ path: join(job.screenshots, file), fullPage: true });
    }
    if (width > 1000) found.accessibility.push(...(await axe(page)).map((rule) => `${rule} [${theme}]`));
    if (width > 1000 && theme === "light") {
      Object.assign(found, seen.counts);
      found.controls = await page.evaluate(moveControls);
      found.tables = await page.evaluate(tryTables);
      found.controls.filter((c) => !c.changed).forEach((c) => complain(`moving "${c.name}" changes nothing`));
      found.tables.flatMap((table) => table.problems).forEach(complain);
    }
  } catch (error) {
    complain(`the visit ended early: ${error.message.split("\n")[0]}`);
  } finally {
    await context.close();
  }
}

// Everything a page asks for or says: other hosts are refused and named, silence is expected on the console.
async function record(page, complain) {
  await page.route("**/*", (route) => {
    const address = route.request().url();
    if (address.startsWith(job.base) || /^(data|blob):/.test(address)) return route.continue();
    complain(`asks another host for ${address}`);
    return route.abort();
  });
  page.on("console", (line) => {
    if (["error", "warning"].includes(line.type())) complain(`console ${line.type()}: ${line.text()}`);
  });
  page.on("pageerror", (error) => complain(`script error: ${error.message}`));
  page.on("response", (answer) => {
    if (answer.status() >= 400) complain(`answer ${answer.status()} for ${answer.url()}`);
  });
}

// Ends animations (a box that is fading in has too little contrast), opens every closed box, then waits for formulas and charts; a chart that never comes is found by inspectPage.
async function settle(page, complain) {
  await page.addStyleTag({ content: "*, *::before, *::after { animation: none !important; transition: none !important }" });
  await page.evaluate(openEverything);
  try {
    await page.waitForFunction(
      () => [...document.querySelectorAll("div.vl-chart")].every((c) => ["drawn", "failed"].includes(c.dataset.state)),
      null, { timeout: PATIENCE },
    );
    await page.evaluate(async () => {
      await window.MathJax?.startup?.promise;
      await document.fonts.ready;
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    });
  } catch (error) {
    complain(`charts or formulas were not ready in time: ${error.message.split("\n")[0]}`);
  }
}

async function axe(page) {
  await page.evaluate(AXE);
  const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"];
  const { violations } = await page.evaluate(
    ([tags, exclude]) => window.axe.run({ exclude }, { runOnly: tags }), [rules, NOT_OURS],
  );
  return violations
    .filter((rule) => ["serious", "critical"].includes(rule.impact))
    .map((rule) => `${rule.id}: ${rule.nodes.length} x, first ${rule.nodes[0].target.join(" ")}`);
}
