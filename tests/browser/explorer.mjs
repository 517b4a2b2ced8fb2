// Works through the concept explorer in Chromium as a reader would, and reports what it saw; test_explorer_browser.py judges it.
//
// Standard input: {"places": {"http": address, "disk": address}, "chromium": path, "files": folder with files to import,
// "screenshots": folder or null}. Standard output: JSON, for each place the facts of every visit, by name.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
  "--disable-sync"];
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const job = JSON.parse(readFileSync(0, "utf8"));
const browser = await chromium.launch({ executablePath: job.chromium, args: FLAGS });
const report = {};
for (const [place, base] of Object.entries(job.places)) {
  report[place] = { problems: [] };
  for (const [name, visit] of Object.entries(visits())) {
    if (job.only && !job.only.includes(name)) continue;
    report[place][name] = await visited(base, name, visit, report[place].problems);
  }
}
await browser.close();
process.stdout.write(JSON.stringify(report));

async function visited(base, name, visit, problems) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: "light",
    acceptDownloads: true });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const complain = (sentence) => problems.push(`${name}: ${sentence}`);
  const folder = new URL(".", base).href;
  await page.route("**/*", (route) => {
    const address = route.request().url();
    if (address.startsWith(folder) || /^(data|blob):/.test(address)) return route.continue();
    complain(`asks for ${address}`);
    return route.abort();
  });
  page.on("console", (line) => ["error", "warning"].includes(line.type()) && complain(`console: ${line.text()}`));
  page.on("pageerror", (error) => complain(`script error: ${error.message}`));
  page.on("dialog", (dialog) => { if (dialog.type() !== "beforeunload") complain(`dialog: ${dialog.message()}`); dialog.accept(); });
  const tools = {
    page,
    open: async (hash) => { await page.goto("about:blank"); await page.goto(base + hash); },
    shown: (uid) => page.waitForFunction((one) => document.querySelector("#view-feature:not([hidden])")?.dataset.shown === one, uid),
    text: (selector) => page.locator(selector).first().innerText(),
    uids: () => page.locator("#features tbody tr td:first-child a").allInnerTexts(),
    said: () => page.locator("#said").innerText(),
  };
  try {
    return await visit(tools);
  } catch (error) {
    complain(`ended early: ${error.stack.split("\n").filter((line) => /Error|explorer.mjs/.test(line)).slice(0, 3).join(" ")}`);
    return null;
  } finally {
    await context.close();
  }
}

async function axe(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document,
    { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] }));
  return violations.filter((rule) => ["serious", "critical"].includes(rule.impact))
    .map((rule) => `${rule.id}: ${rule.nodes.length} x, first ${rule.nodes[0].target.join(" ")}`);
}

async function person(page, code = "anna") {
  const form = page.locator("form.person:visible");
  await form.locator('[name="study"]').fill("trial");
  await form.locator('[name="code"]').fill(code);
  await form.locator("button").click();
}

async function answer(page, values = {}) {
  const form = page.locator("form.annotation");
  await form.locator(`[name="interpretable"][value="${values.interpretable ?? "yes"}"]`).check();
  for (const name of ["label", "ontology_ids", "comment"]) {
    if (values[name]) await form.locator(`[name="${name}"]`).fill(values[name]);
  }
  if (values.confidence) await form.locator(`[name="confidence"][value="${values.confidence}"]`).check();
  await form.locator("button.primary").click();
}

async function exported(page, kind) {
  const coming = page.waitForEvent("download");
  await page.locator(".exchange:visible button", { hasText: kind }).click();
  const download = await coming;
  return { name: download.suggestedFilename(), text: readFileSync(await download.path(), "utf8") };
}

async function imported(page, said, name) {
  await page.evaluate(() => { document.getElementById("said").textContent = ""; });
  await page.locator(".exchange:visible input[type=file]").setInputFiles(join(job.files, name));
  await page.waitForFunction(() => document.getElementById("said").textContent !== "");
  return said();
}

function visits() {
  return {
    async list({ page, open, uids, text }) {
      await open("#/planted");
      await page.waitForSelector("#features tbody tr");
      const facts = { title: await page.title(), all: await uids(), count: await text("#count"),
        notes: await text("#view-list .notes"), badge: await page.locator("#view-list .badge").count() };
      await page.locator('[data-by="share"] button').click();
      facts.falling = [await uids(), await page.locator('[data-by="share"]').getAttribute("aria-sort")];
      await page.locator('[data-by="share"] button').click();
      facts.rising = [await uids(), await page.locator('[data-by="share"]').getAttribute("aria-sort")];
      await page.locator('[data-by="null_cutoff"], [data-by="overtaken"]').first().locator("button").click();
      facts.overtaken = await uids();
      await page.locator('[data-by="number"] button').click();
      await page.locator("#search").fill("gene7");
      await page.waitForFunction(() => !document.getElementById("count").textContent.includes("not searched"));
      facts.gene = await uids();
      await page.locator("#search").fill("interferon alpha");
      facts.term = await uids();
      await page.locator("#search").fill("no such thing");
      facts.nothing = [await uids(), await text("#count")];
      await page.locator("form.choices button", { hasText: "Clear" }).click();
      await page.locator('[name="arm"]').selectOption("neuron");
      facts.neurons = await uids();
      await page.locator("form.choices button", { hasText: "Clear" }).click();
      await page.locator('[name="least"]').fill("90");
      facts.often = await uids();
      await page.locator("form.choices button", { hasText: "Clear" }).click();
      await page.locator('[name="status"]').selectOption("not");
      facts.unattributed = await uids();
      return facts;
    },

    async feature({ page, open, shown, text }) {
      await open("#/planted/sae-4");
      await shown("sae-4");
      const facts = { title: await page.title(), told: await text(".told"), charts: await page.locator(".chart svg").count(),
        milliseconds: [] };
      facts.named = await page.locator(".panel:visible :is(.chart, canvas):visible").evaluateAll((all) => all.filter((one) => !one.getAttribute("aria-label")).length);
      facts.counted = await text("#counted");
      await page.locator(".panel button", { hasText: "0.05" }).first().click();
      facts.at005 = await text("#counted");
      await page.locator("#prototypes button").first().click();
      facts.swaps = await page.locator("#prototypes tr.inner:visible tbody tr").count();
      facts.terms = await page.locator("table.terms tbody tr").allInnerTexts();
      await page.keyboard.press("Escape");
      await page.locator("h1:visible").click();
      await page.keyboard.press("j");
      await shown("sae-5");
      facts.milliseconds.push(Number(await page.locator("#view-feature").getAttribute("data-milliseconds")));
      await page.keyboard.press("ArrowRight");
      await shown("sae-6");
      facts.milliseconds.push(Number(await page.locator("#view-feature").getAttribute("data-milliseconds")));
      await page.keyboard.press("k");
      await shown("sae-5");
      await page.goBack();
      await shown("sae-6");
      facts.back = await page.title();
      await page.locator('form.annotation [name="comment"]').fill("");
      await page.locator('form.annotation [name="comment"]').press("j");
      facts.typed = [await page.locator('form.annotation [name="comment"]').inputValue(),
        await page.locator("#view-feature").getAttribute("data-shown")];
      await page.locator('form.annotation [name="comment"]').fill("");
      await page.locator("h1:visible").click();
      await page.keyboard.press("?");
      facts.help = await page.locator("#help").isVisible();
      await page.keyboard.press("Escape");
      facts.closed = await page.locator("#help").isHidden();
      await page.keyboard.press("/");
      await page.waitForFunction(() => document.activeElement?.id === "search");
      facts.slash = await page.locator("#view-list").isVisible();
      return facts;
    },

    async odd({ page, open, shown, text }) {
      const facts = {};
      for (const uid of ["sae-0", "sae-1", "sae-2", "sae-3"]) {
        await open(`#/planted/${uid}`);
        await shown(uid);
        facts[uid] = { told: await text(".told"), genes: await text('[data-panel="genes"] .caption'),
          page: await page.locator("#view-feature").innerText() };
      }
      return facts;
    },

    async lost({ page, open, text }) {
      const facts = {};
      for (const hash of ["#/nowhere", "#/planted/sae-999", "#/planted/../../secret", "#/planted/%2e%2e%2fcells",
        "#/planted/list", "#/%E0%A4%A", "#/planted/__proto__", "#/planted/blind/<b>"]) {
        await open(hash);
        await page.waitForSelector("#view-lost:not([hidden])");
        facts[hash] = [await text("#view-lost h1"), await page.locator("#view-lost li").count()];
      }
      await page.locator("#view-lost a").first().click();
      await page.waitForSelector("#view-list:not([hidden]) tbody tr");
      return facts;
    },

    async annotation({ page, open, shown, text, said, uids }) {
      await open("#/planted/sae-4");
      await shown("sae-4");
      await answer(page);
      const facts = { nobody: await text(".annotation + .state") };
      await person(page);
      await shown("sae-4");
      const label = 'Interferon, "type I" <b>bold</b>';
      await page.locator('form.annotation [name="ontology_ids"]').fill("not an identifier!");
      await answer(page, { label, confidence: 4, comment: "=1+1\nsecond line" });
      facts.refused = await text(".annotation + .state");
      await answer(page, { label, ontology_ids: "GO:0034340, CL:0000236", confidence: 4 });
      facts.saved = await text(".annotation + .state");
      await page.reload();
      await shown("sae-4");
      facts.reloaded = await page.locator('form.annotation [name="label"]').inputValue();
      await answer(page, { interpretable: "unsure" });
      facts.json = await exported(page, "JSON");
      facts.csv = await exported(page, "CSV");
      await page.locator("#to-list").click();
      await page.locator("#features .mine").waitFor();
      facts.listed = await text("#features .mine");
      await page.locator('[name="mine"]').selectOption("yes");
      facts.mine = await uids();
      await page.goBack();
      await shown("sae-4");
      facts.imports = {};
      for (const name of ["good.json", "good.json", "good.csv", "foreign.json", "corrupt.json", "corrupt.csv", "strange.json",
        "types.json", "unknown.json", "big.json", "binary.json"]) {
        facts.imports[name] = [...(facts.imports[name] ?? []), await imported(page, said, name)];
      }
      facts.after = JSON.parse((await exported(page, "JSON")).text).records;
      await page.locator('form.annotation [name="comment"]').fill("draft");
      await page.keyboard.press("Tab");
      facts.unsaved = await page.evaluate(() => {
        const event = new Event("beforeunload", { cancelable: true });
        window.dispatchEvent(event);
        return event.defaultPrevented;
      });
      return facts;
    },

    async blind({ page, open, shown, text }) {
      await open("#/planted/blind");
      await page.waitForSelector("#view-blind form.person:visible");
      await person(page, "bob");
      const facts = { start: await text("#progress"), pages: [] };
      const count = Number(facts.start.match(/of (\d+) items/)[1]);
      for (let number = 1; number <= count; number++) {
        await open(`#/planted/blind/${number}`);
        await shown(String(number));
        if (number <= 2) facts.pages.push({ title: await page.title(), address: page.url().split("#")[1],
          text: await page.locator("main").innerText(), html: await page.locator("#view-feature").innerHTML(),
          terms: await page.locator('[data-panel="terms"]').isVisible() });
        await answer(page, { label: `item ${number}` });
        if (number === 2) { await page.reload(); await shown("2"); await page.locator("#to-blind").click(); facts.resumed = await text("#progress"); }
      }
      await page.waitForSelector("#view-blind:not([hidden])");
      facts.second = await text("#progress");
      await page.locator("#view-blind a.button").click();
      await shown("1");
      facts.pass2 = { terms: await page.locator('[data-panel="terms"]').isVisible(),
        near: await page.locator('[data-panel="near"]').isVisible(),
        label: await page.locator('form.annotation [name="label"]').inputValue() };
      await answer(page, { label: "again" });
      facts.records = JSON.parse((await exported(page, "JSON")).text).records;
      facts.items = await page.evaluate(() => ["anna", "bob", "bob"].map((code) => explorer.blind.items(explorer.atlas, code)));
      return facts;
    },

    async rules({ page, open, shown }) {
      await open("#/planted/sae-4");
      await shown("sae-4");
      return page.evaluate(() => {
        const { records, recordsCsv, atlas } = explorer;
        const texts = ["", "=1", "'=1", "''=1", "+", "-a", "@a", "\tb", "\rc", 'a,"b"', "x\r\ny\nz\r", "'", "a'",
          "\u00e9 \ud83e\uddec", ";", "null", "true", "1"];
        const held = texts.map((label, n) => ({ feature_uid: `sae-${n % 5}`, interpretable: "yes", label,
          ontology_ids: n % 2 ? ["GO:1", "CL:2"] : [], confidence: n % 3 ? n % 5 + 1 : null, usefulness: null,
          panels_used: [], seconds: n / 8, comment: label, repeat_of: n % 4 ? null : `sae-${n % 5}`, pass: 1 + n % 2,
            blind: n % 2 === 0, saved: `2026-01-01T00:00:${String(n).padStart(2, "0")}.000Z` }));
        const file = records.file(atlas, { study: "'-s", code: "-code" }, held);
        const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
        const [a, b, c] = [held.slice(0, 9), held.slice(5), held.slice(3, 12)];
        const one = { ...file, records: [] };
        const first = (label) => recordsCsv.write({ ...one, records: [{ ...held[0], label }] }).split("\r\n")[1].split(",")[7];
        return {
          csv: same(records.check(recordsCsv.parse(recordsCsv.write(file)), atlas), file),
          merged: same(records.union(a, b), records.union(b, a)) && same(records.union(records.union(a, b), c),
            records.union(a, records.union(c, b))) && same(records.union(a, b), held),
          thrice: records.union([held[0], held[1]], [held[0], held[2], { ...held[1] }]).length,
          formula: ["=1", "'=1", "+", "-a", "@a", "a=1"].map(first),
        };
      });
    },

    async many({ page, open, shown, text, uids }) {
      await open("#/many");
      await page.waitForSelector("#features tbody tr");
      const facts = { count: await text("#count"), rows: (await uids()).length };
      facts.milliseconds = await page.evaluate(() => {
        const started = performance.now();
        const search = document.getElementById("search");
        for (const words of ["s", "sa", "sae-1999",
          ""]) { search.value = words; search.dispatchEvent(new Event("input", { bubbles: true })); }
        return (performance.now() - started) / 4;
      });
      await page.locator("button.more").click();
      facts.all = (await uids()).length;
      await page.locator("#search").fill("sae-1799");
      await page.locator("#features a").first().click();
      await shown("sae-1799");
      facts.title = await page.title();
      return facts;
    },

    async storage({ page, open, shown, text }) {
      await page.addInitScript(() => { Storage.prototype.setItem = () => { throw new DOMException("full",
        "QuotaExceededError"); }; });
      await open("#/planted/sae-4");
      await shown("sae-4");
      await person(page);
      await shown("sae-4");
      const facts = { before: await text(".annotation + .state") };
      await answer(page);
      facts.after = await text(".annotation + .state");
      facts.records = JSON.parse((await exported(page, "JSON")).text).records.length;
      return facts;
    },

    async looks({ page, open, shown }) {
      const facts = { axe: {}, width: {} };
      for (const [width, theme] of [[1280, "light"], [1280, "dark"], [360, "light"], [360, "dark"]]) {
        await page.setViewportSize({ width, height: 900 });
        await page.emulateMedia({ colorScheme: theme });
        for (const [name, hash] of [["list", "#/planted"], ["feature", "#/planted/sae-4"], ["blind", "#/planted/blind"]]) {
          await open(hash);
          await (name === "feature" ? shown("sae-4") : page.waitForSelector(`#view-${name}:not([hidden]) h1`));
          await page.locator("details").evaluateAll((all) => all.forEach((one) => { one.open = true; }));
          const key = `${name} ${width} ${theme}`;
          facts.width[key] = await page.evaluate(() => document.documentElement.scrollWidth);
          if (width > 1000) facts.axe[key] = await axe(page);
          if (job.screenshots) await page.screenshot({ path: join(job.screenshots, `${key.replaceAll(" ", "-")}.png`),
            fullPage: true });
        }
      }
      await page.setViewportSize({ width: 1280, height: 900 });
      await page.locator("#theme").click();
      facts.theme = await page.evaluate(() => document.documentElement.dataset.theme);
      await page.reload();
      facts.kept = await page.evaluate(() => document.documentElement.dataset.theme);
      return facts;
    },
  };
}
