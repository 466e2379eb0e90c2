// The incidents with a watchdog: what is about to be done can be stopped, what was done can be undone, and how far it may go is set here.

import { ask, axeFindings, check, go, opened, plan, request, run, screenshot, tell, until } from "../page.mjs";

run(async () => {
  const page = await opened({ isQuiet: false }, "incidents");
  await until(page, "The watchdog says");
  await switches(page);
  await announced(page);
  await killed(page);
});

async function switches(page) {
  const rules = page.getByLabel("Switch by itself");
  check(await rules.isChecked(), "the switch is not as the file has it");
  await page.getByLabel("Ask", { exact: true }).selectOption("lab");
  await page.getByLabel("Model", { exact: true }).fill("glm-5");
  await page.getByLabel("US dollars a month").fill("1.5");
  await page.getByLabel("Apply what helped").uncheck();
  await page.getByRole("button", { name: "Save" }).click();
  await until(page, "saved");
  const { text } = await request("file");
  for (const line of ["tier2 = false", 'endpoint = "lab"', 'model = "glm-5"', "monthly_budget = 1.5", "auto_switch_provider = true", "# stays"]) {
    check(text.includes(line), `${line} is not in the file: ${text}`);
  }
  await go(page, "incidents");
  check(!(await page.getByLabel("Apply what helped").isChecked()) && (await page.getByLabel("US dollars a month").inputValue()) === "1.5", "the switches are not read again");
  await page.evaluate(() => document.activeElement.blur());
}

// A provider breaks: what would be done is stopped within three seconds. A change in force is undone, a fault is silenced and back.
async function announced(page) {
  await request("break");
  const cancel = page.getByRole("button", { name: /^Cancel / });
  await cancel.first().waitFor({ timeout: plan.patience });
  await screenshot(page, "incidents-announced");
  await cancel.first().click();
  const { overrides } = await request("overrides");
  check(overrides.length === 0, "a cancelled order was carried out");
  await until(page, "Nothing is about to be done.");
  await ask("/v1/admin/overrides", { kind: "avoid_endpoint", endpoint: "broken", seconds: 600, why: "B2" });
  await go(page, "incidents");
  const undo = page.getByRole("button", { name: "Undo avoid_endpoint of broken" });
  await undo.waitFor({ timeout: plan.patience });
  for (const finding of await axeFindings(page)) check(false, `Incidents: axe: ${finding}`);
  await screenshot(page, "incidents-in-force");
  await undo.click();
  await until(page, "No change is in force.");
  check((await request("overrides")).overrides.length === 0, "an undone change is still in force");
  await page.getByRole("button", { name: "Never again: B2" }).first().click();
  await until(page, "Silenced");
  await page.getByRole("button", { name: /^Act again on (silenced )?B2/ }).first().click();
  await page.getByRole("button", { name: "Never again: B2" }).first().waitFor({ timeout: plan.patience });
}

// A killed proxy stands there within twelve seconds, and the page gets over it.
async function killed(page) {
  await page.evaluate(() => document.activeElement.blur());
  const begun = Date.now();
  await request("kill");
  await page.locator("main tr", { hasText: "A1" }).first().waitFor({ timeout: plan.patience });
  const took = Date.now() - begun;
  tell(`a killed proxy is on the page after ${took} ms`);
  check(took < 12_000, `a killed proxy is on the page after ${took} ms`);
}
