// What a person does on the screens: every action by the page itself, with what the terminal and the file say afterwards.

import { readFileSync } from "node:fs";
import { ask, axeFindings, check, go, opened, plan, request, run, screenshot, until } from "../page.mjs";

run(async () => {
  const page = await opened({}, "");
  await figures(page);
  await requests(page);
  await providers(page);
  await models(page);
  await usage(page);
  await parser(page);
  await accounts(page);
  await quota(page);
  await logs(page);
  await settings(page);
});

const clean = (text) => text.replace(/\s+/g, " ");

// The figures of the overview are those of the terminal.
async function figures(page) {
  const { total } = await request("usage");
  await go(page, "");
  const of = (label) => page.locator(".kpi", { has: page.locator("dt", { hasText: new RegExp(`^${label}$`) }) }).locator("dd").innerText();
  const number = (value) => value.toLocaleString("en-US");
  for (const [label, value] of [["Turns", total.turns], ["Failed", total.failed], ["Input", total.input], ["Cached", total.cached], ["Output", total.output]]) {
    const shown = clean(await of(label));
    check(shown.startsWith(number(value)), `${label} is ${shown}, the terminal says ${value}`);
  }
  const cost = clean(await of("Cost"));
  check(cost.startsWith("$" + total.cost_usd.toFixed(4)), `Cost is ${cost}, the terminal says ${total.cost_usd}`);
  await page.waitForSelector("h2:text-is('Running')");
}

async function drawerOf(page, row) {
  await page.locator("tbody tr", { hasText: row }).first().locator("button.link").click();
  await page.waitForSelector("#drawer dl", { timeout: plan.patience });
}

async function requests(page) {
  await go(page, "requests");
  await drawerOf(page, "a-plain-client");
  const drawer = page.locator("#drawer");
  await drawer.getByRole("button", { name: "Show both requests" }).click();
  await drawer.locator(".sides pre").nth(1).waitFor({ timeout: plan.patience });
  const [asked, sent] = await drawer.locator(".sides pre").allInnerTexts();
  check(asked.includes('"input"') && asked.includes("what is in my request"), `the client's request is ${asked.slice(0, 300)}`);
  check(sent.includes('"messages"') && sent.includes("what is in my request"), `the provider's request is ${sent.slice(0, 300)}`);
  const shown = await drawer.innerText();
  check(!shown.includes(plan.secret), "a key stands in the drawer");
  check((await drawer.innerText()).includes("Phases"), "the drawer has no phases");
  await screenshot(page, "requests-side-by-side");
  await drawer.getByLabel("Target").selectOption("lab/glm-5");
  await drawer.getByRole("button", { name: "Send again" }).click();
  await drawer.getByText("answered in").waitFor({ timeout: plan.patience });
  check((await drawer.innerText()).includes("ready"), "the answer of the replay is not shown");
  await drawer.getByLabel("Target").selectOption("nowhere/other");
  await drawer.getByRole("button", { name: "Send again" }).click();
  await drawer.getByText("✗ status").waitFor({ timeout: plan.patience });
  await page.keyboard.press("Escape");
  const again = (await ask("/api/v1/turns?client=latimer-replay")).json();
  check(again.data.length === 2, `${again.data.length} replayed turns are counted`);
}

async function providers(page) {
  await go(page, "providers");
  const card = (name) => page.locator(`article[data-endpoint="${name}"]`);
  await page.getByRole("button", { name: "Test lab" }).click();
  await card("lab").getByText(/works in \d/).waitFor({ timeout: plan.patience });
  await page.getByRole("button", { name: "Test nowhere" }).click();
  await card("nowhere").getByText("✗").last().waitFor({ timeout: plan.patience });
  await page.getByRole("button", { name: "Pause nowhere" }).click();
  await card("nowhere").getByText("paused").waitFor({ timeout: plan.patience });
  check((await request("file")).text.includes("enabled = false"), "a pause is not in the file");
  page.isQuiet = false;
  await request("restart");
  await page.locator("#connection", { hasText: /^live/ }).waitFor({ timeout: plan.patience });
  await go(page, "providers");
  page.isQuiet = true;
  check((await card("nowhere").innerText()).includes("paused"), "a pause does not survive a restart");
  await screenshot(page, "providers-paused");
  await page.getByRole("button", { name: "Resume nowhere" }).click();
  await page.getByRole("button", { name: "Pause nowhere" }).waitFor({ timeout: plan.patience });
  check(!(await request("file")).text.includes("enabled = false"), "a resumed endpoint is still off in the file");
  await page.getByRole("button", { name: "Up nowhere" }).click();
  await page.locator("article:first-of-type h2", { hasText: "nowhere" }).waitFor({ timeout: plan.patience });
  const order = [...(await request("file")).text.matchAll(/^name = "(lab|nowhere)"/gm)].map((found) => found[1]);
  check(order.join() === "nowhere,lab", `the order in the file is ${order}`);
  const focus = await page.evaluate(() => document.activeElement.closest("article")?.dataset.endpoint);
  check(focus === "nowhere", `the focus does not follow the card: ${focus}`);
  await page.getByRole("button", { name: "Down nowhere" }).click();
  await page.locator("article:first-of-type h2", { hasText: "lab" }).waitFor({ timeout: plan.patience });
}

async function models(page) {
  await go(page, "models");
  const before = (await request("usage")).total.turns;
  await page.getByLabel("A name as a client asks for it").fill("both");
  await page.getByRole("button", { name: "Show" }).click();
  const plans = page.locator("form", { hasText: "What happens with a model?" });
  await plans.getByText("Who would answer both").waitFor({ timeout: plan.patience });
  const rows = await plans.locator("tbody tr").allInnerTexts();
  check(rows.length === 2 && rows[0].includes("lab/glm-5") && rows[1].includes("nowhere/other"), `the plan is ${rows}`);
  await page.getByLabel("A name as a client asks for it").fill("glm-6");
  await page.getByRole("button", { name: "Show" }).click();
  await plans.getByText("no endpoint lists the model").waitFor({ timeout: plan.patience });
  check((await request("usage")).total.turns === before, "a plan is counted as a turn");
}

async function downloaded(page, name) {
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name, exact: true }).click()]);
  return { name: file.suggestedFilename(), text: readFileSync(await file.path(), "utf8") };
}

async function usage(page) {
  await go(page, "usage");
  const { lines } = await request("by-model");
  for (const known of lines) {
    const row = clean(await page.locator("tbody tr", { hasText: known.name.slice(0, 40) }).first().innerText());
    const wanted = [known.turns.toLocaleString("en-US"), known.input.toLocaleString("en-US")];
    check(wanted.every((value) => row.includes(value)), `the row is ${row}, the terminal says ${wanted}`);
  }
  const heat = page.locator("table.heat");
  const sum = (await heat.locator("tbody td").allInnerTexts()).reduce((all, text) => all + Number(text.replace(/,/g, "")), 0);
  const { total } = await request("usage");
  check(sum === total.turns, `the heat map has ${sum} turns, the terminal ${total.turns}`);
  await page.getByLabel("By", { exact: true }).selectOption("session");
  await until(page, "By session");
  check((await page.evaluate(() => document.activeElement.id)) === "by", "the focus leaves the choice");
  const csv = await downloaded(page, "CSV");
  const formula = csv.text.split("\r\n").flatMap((row) => [...row.matchAll(/"((?:[^"]|"")*)"/g)].map((cell) => cell[1])).find((cell) => /^\s*[=+@]/.test(cell) || /^-\D/.test(cell));
  check(csv.name === "usage.csv" && csv.text.includes("calc") && !formula, `a cell of the CSV is a formula: ${formula}; ${csv.text.slice(0, 200)}`);
  const json = JSON.parse((await downloaded(page, "JSON")).text);
  check(json.total.turns === total.turns, "the JSON has other sums");
}

async function parser(page) {
  await go(page, "parser");
  const text = '<tool_call>{"name":"read_file","arguments":{"path":"<b>x</b>"}}</tool_call>';
  await page.getByRole("textbox").first().fill(text);
  await page.getByRole("button", { name: "Parse" }).click();
  await until(page, "hermes");
  const found = clean(await page.locator("tbody tr", { hasText: "read_file" }).innerText());
  check(found.includes("call") && found.includes('{"path":"<b>x</b>"}'), `found is ${found}`);
  await page.getByLabel("Name", { exact: true }).fill("a call/of mine");
  const fixture = await downloaded(page, "Save as a fixture");
  check(fixture.name === "hermes-a-call-of-mine.txt" && fixture.text === text, `the fixture is ${fixture.name}: ${fixture.text}`);
  const report = JSON.parse((await downloaded(page, "Save what was found")).text);
  check(report.dialect === "hermes" && report.pieces.some((piece) => piece.name === "read_file"), "what was found is not in the file");
}

async function accounts(page) {
  await go(page, "accounts");
  await page.getByRole("button", { name: "Log in to chatgpt" }).click();
  await until(page, "AB-CD");
  check((await page.locator("main a", { hasText: "/codex/device" }).count()) === 1, "there is no address to open");
  await screenshot(page, "accounts-code");
  await until(page, "✓ logged in");
  check((await request("accounts")).count === 1, "the account is not written down");
  check((await page.innerText("main")).includes("latimer login google"), "what needs a terminal does not say so");
}

async function settings(page) {
  await go(page, "settings");
  const area = page.getByRole("textbox");
  const before = await area.inputValue();
  check(!before.includes(plan.secret), "a key stands in Settings");
  await area.fill("# mine\n" + before.replace('"lab"', '"lab"\nretries = 1'));
  await page.getByRole("button", { name: "Check and show changes" }).click();
  await until(page, "it is a configuration");
  const changes = await page.locator(".diff li").allInnerTexts();
  check(changes.length === 2 && changes.some((line) => line.includes("retries = 1")), `the changes are ${changes}`);
  check(!(await request("file")).text.includes("# mine"), "a check writes");
  await screenshot(page, "settings-changes");
  await page.getByRole("button", { name: "Save" }).click();
  await until(page, "saved");
  const saved = (await request("file")).text;
  check(saved.includes("# mine") && saved.includes(plan.secret), "the file is not as it was saved");
  // Chromium itself writes every refused request into the console.
  page.isQuiet = false;
  await area.fill("retires = 1\n" + before);
  await page.getByRole("button", { name: "Save" }).click();
  await until(page, "line 1");
  await until(page, "nothing was written");
  await page.getByRole("button", { name: "Restore the file before" }).click();
  await until(page, "is back");
  const back = (await request("file")).text;
  check(!back.includes("# mine") && back.includes(plan.secret), "the file before is not back");
}

// Windows of an allowance: how much is left, when it is back, whether it lasts so long, and whether that is old.
async function quota(page) {
  const at = Math.floor(Date.now() / 1000);
  const windows = [
    { name: "5 h <b>x</b>", scope: "session", remaining: 80, limit: 1000, unit: "requests", remaining_percent: 8, resets_at: at + 7300, runs_out_at: at + 605, seen_at: at - 9, stale: false },
    { name: "week", scope: "week", remaining_percent: 61.2, resets_at: at - 60, seen_at: at - 7200, stale: true },
    { name: "balance", scope: "balance", remaining: 12.5, unit: "USD", seen_at: at, stale: false },
  ];
  await page.route("**/api/v1/session", async (route) => {
    const response = await route.fetch();
    const session = await response.json();
    await route.fulfill({ response, json: { ...session, documents: session.documents.concat("quota") } });
  });
  await page.route("**/api/v1/quota", (route) => route.fulfill({ json: { schema_version: 1, now: at, problems: [], data: [{ endpoint: "lab", account: "key-1", windows }] } }));
  for (const screen of ["providers", "accounts"]) {
    await go(page, screen);
    await until(page, "8 % left");
    const shown = clean(await page.innerText("main"));
    for (const text of ["5 h <b>x</b>", "80 requests of 1,000 requests", "back in 2 h", "runs out in 10 min", "61 % left", "stale: said 2 h", "$12.50", "key-1"]) {
      check(shown.includes(text), `${screen}: the quota does not say ${text}: ${shown.slice(0, 600)}`);
    }
    for (const finding of await axeFindings(page)) check(false, `${screen} with quota: axe: ${finding}`);
    await screenshot(page, `${screen}-quota`);
  }
  await page.unrouteAll();
}

async function logs(page) {
  await go(page, "incidents");
  await until(page, "latimer up");
  await go(page, "logs");
  await until(page, "config.saved");
  await page.getByLabel("Level").selectOption("error");
  await page.waitForFunction(() => !document.querySelector("main").innerText.includes("config.saved"), undefined, { timeout: plan.patience });
}
