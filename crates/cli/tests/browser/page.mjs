// A real browser for the tests of the page. The test in Rust starts this with a plan, answers what is asked here in JSON lines, and fails
// with every fault that is told.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { mkdirSync } from "node:fs";

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
export const plan = JSON.parse((await input.next()).value);
const load = createRequire(plan.modules + "/node_modules/");
const { chromium } = load("playwright-core");
const axe = load("axe-core");

function say(line) {
  process.stdout.write(JSON.stringify(line) + "\n");
}

// Has something done outside of the browser: another code, a restart.
export async function request(what, more) {
  say({ do: what, ...more });
  const { value, done } = await input.next();
  if (done) throw new Error("the test is gone");
  return JSON.parse(value);
}

export function check(isSo, fault) {
  if (!isSo) say({ fault });
  return isSo;
}

// A measurement, for whoever reads the output.
export function tell(text) {
  say({ tell: text });
}

export const SCREENS = [
  ["", "Overview"], ["requests", "Requests"], ["providers", "Providers"], ["models", "Models"], ["accounts", "Accounts"],
  ["usage", "Usage"], ["incidents", "Incidents"], ["parser", "Parser lab"], ["clients", "Clients"], ["settings", "Settings"],
  ["logs", "Logs"],
];

export const THEMES = ["light", "dark"];
export const SIZES = { narrow: { width: 380, height: 800 }, wide: { width: 1440, height: 900 } };

let running = null;

async function launch() {
  running ||= await chromium.launch({
    executablePath: plan.chromium,
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"],
  });
  return running;
}

// A window of its own. Whatever it writes into the console, and whatever it asks of anybody else, is a fault.
export async function window({ theme = "light", size = "wide", state, isQuiet = true } = {}) {
  const browser = await launch();
  const context = await browser.newContext({
    colorScheme: theme, viewport: SIZES[size], reducedMotion: "reduce", storageState: state, acceptDownloads: true,
  });
  const page = await context.newPage();
  const where = () => `${theme} ${size} ${page.url()}`;
  page.requests = [];
  page.isQuiet = isQuiet;
  page.on("request", (asked) => {
    page.requests.push(asked);
    const url = asked.url();
    const isOwn = url.startsWith(plan.url + "/") || url.startsWith("data:") || url.startsWith("blob:");
    check(isOwn || page.mayAsk, `${where()}: asks ${url}`);
  });
  page.on("console", (message) => check(!page.isQuiet, `${where()}: the console says: ${message.text()}`));
  page.on("pageerror", (error) => check(false, `${where()}: ${error}`));
  page.on("dialog", (dialog) => {
    check(false, `${where()}: a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  return page;
}

export async function signIn(page, path = "") {
  const { code } = await request("code");
  await page.goto(`${plan.url}/ui/${path}#${code}`);
  await ready(page);
  check(!page.url().includes("#"), "the code stays in the address bar");
  return page;
}

// A window with a session; the screen is ready.
export async function opened(options = {}, path = "") {
  return signIn(await window(options), path);
}

export async function go(page, path) {
  await page.goto(`${plan.url}/ui/${path}`);
  await ready(page);
}

// Until the screen shows what it has.
export async function ready(page) {
  await page.waitForFunction(() => {
    const content = document.querySelector("#content");
    const isOpen = !document.querySelector("#screen").hidden && content && content.children.length > 0;
    return isOpen && content.getAttribute("aria-busy") !== "true" && !content.textContent.startsWith("Loading");
  }, undefined, { timeout: plan.patience });
}

// Until a text is visible somewhere in the content.
export async function until(page, text, within = plan.patience) {
  const begun = Date.now();
  await page.waitForFunction((wanted) => document.querySelector("main").innerText.includes(wanted), text, { timeout: within, polling: 25 });
  return Date.now() - begun;
}

export async function axeFindings(page) {
  // Sent as the page's debugger, so that its policy stays as it is.
  await page.evaluate(axe.source + "; 0");
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const isSerious = (finding) => finding.impact === "serious" || finding.impact === "critical";
  return found.violations.filter(isSerious).map((finding) =>
    `${finding.id}: ${finding.help}: ${finding.nodes.slice(0, 3).map((node) => node.html.slice(0, 160) + " " + (node.failureSummary || "").slice(0, 200)).join(" | ")}`);
}

export async function screenshot(page, name) {
  mkdirSync(plan.out, { recursive: true });
  await page.screenshot({ path: `${plan.out}/${name}.png`, fullPage: true });
}

// The API as a program with the token asks it.
export async function ask(path, body) {
  const answer = await fetch(plan.url + path, {
    method: body === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${plan.token}`, "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return { status: answer.status, body: await answer.text(), json() { return JSON.parse(this.body); } };
}

export async function turn(model, input, headers = {}) {
  const answer = await fetch(plan.url + "/v1/responses", {
    method: "POST",
    headers: { authorization: `Bearer ${plan.token}`, "content-type": "application/json", ...headers },
    body: JSON.stringify({ model, input, stream: false }),
  });
  return { status: answer.status, body: await answer.text() };
}

// The best of several tries: what a busy machine adds is no property of the page.
export async function bestOf(tries, limit, measure) {
  let best = Infinity;
  for (let round = 0; round < tries && best > limit; round++) best = Math.min(best, await measure(round));
  return best;
}

export async function run(scene) {
  try {
    await scene();
  } catch (error) {
    check(false, String(error && error.stack ? error.stack : error));
  }
  if (running) await running.close();
  say({ end: true });
  process.exit(0);
}
