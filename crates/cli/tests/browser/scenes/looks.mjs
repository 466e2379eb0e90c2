// Each screen in both themes, narrow and wide: nothing serious for axe, nothing in the console, nobody else asked, nothing wider than the
// window, foreign text harmless. A picture of each is kept.

import { SCREENS, SIZES, THEMES, axeFindings, check, go, opened, plan, run, screenshot, tell, window } from "../page.mjs";

const looks = () => {
  const faults = [];
  const over = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (over > 0) {
    const wide = [...document.querySelectorAll("body *")].filter((node) => node.getBoundingClientRect().right > innerWidth + 1);
    faults.push(`scrolls sideways by ${over}: ${wide.slice(0, 3).map((node) => node.outerHTML.slice(0, 120)).join(" | ")}`);
  }
  for (const row of document.querySelectorAll("tr, li, article")) {
    if (row.getBoundingClientRect().height > 1200) faults.push("a row is higher than 1200: " + row.textContent.slice(0, 80));
  }
  const own = document.querySelector("main").cloneNode(true);
  for (const foreign of own.querySelectorAll(".foreign, textarea, pre")) foreign.remove();
  const odd = own.textContent.match(/.{0,30}(undefined|NaN|\bnull\b|\[object).{0,30}/);
  if (odd) faults.push("shows " + odd[0]);
  if (window.harmed) faults.push("a foreign text ran");
  if (document.querySelector("main img, main iframe, main script, main a[href^='javascript']")) faults.push("a foreign text became markup");
  const bare = [...document.querySelectorAll("main *")].find((node) => !node.closest("bdi, textarea, select, option")
    && [...node.childNodes].some((child) => child.nodeType === 3 && /[\u202a-\u202e\u2066-\u2069]/.test(child.data)));
  if (bare) faults.push("a foreign text is not isolated: " + bare.outerHTML.slice(0, 160));
  if (document.querySelector("[style]")) faults.push("a style stands in an element");
  return faults;
};

run(async () => {
  const first = await opened();
  const state = await first.context().storageState();
  for (const theme of THEMES) {
    for (const size of Object.keys(SIZES)) {
      const page = await window({ theme, size, state });
      for (const [path, name] of SCREENS) {
        await go(page, path);
        const where = `${name}, ${theme}, ${size}`;
        const heading = await page.textContent("h1#heading");
        const current = await page.textContent("nav a[aria-current=page]");
        check(heading === name && current === name, `${where}: the heading is ${heading}, the current one ${current}`);
        for (const fault of await page.evaluate(looks)) check(false, `${where}: ${fault}`);
        for (const finding of await axeFindings(page)) check(false, `${where}: axe: ${finding}`);
        const scheme = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
        check((scheme === "rgb(255, 255, 255)") === (theme === "light"), `${where}: the background is ${scheme}`);
        await screenshot(page, `${path || "overview"}-${theme}-${size}`);
      }
      await drawer(page, `${theme} ${size}`);
      await page.context().close();
    }
  }
  await weight(state);
});

// The drawer of a turn with hostile words.
async function drawer(page, where) {
  await go(page, "requests");
  await page.click("tr.failed button.link");
  await page.waitForFunction(() => document.querySelector("#drawer").open && document.querySelector("#drawer dl"));
  for (const fault of await page.evaluate(looks)) check(false, `the drawer, ${where}: ${fault}`);
  for (const finding of await axeFindings(page)) check(false, `the drawer, ${where}: axe: ${finding}`);
  await screenshot(page, `drawer-${where.replace(" ", "-")}`);
  await page.keyboard.press("Escape");
}

// What a first view weighs, and all screens of a visit.
async function weight(state) {
  const page = await window({ state });
  let bytes = 0;
  const network = await page.context().newCDPSession(page);
  network.on("Network.dataReceived", (event) => { bytes += event.dataLength; });
  network.on("Network.responseReceived", (event) => { bytes += event.response.encodedDataLength; });
  await network.send("Network.enable");
  await go(page, "");
  await page.waitForTimeout(500);
  check(bytes > 20_000, `only ${bytes} bytes of the first view were counted`);
  check(bytes < 300_000, `the first view weighs ${bytes}`);
  tell(`first view: ${bytes} bytes`);
  for (const [, name] of SCREENS) {
    await page.click(`nav a:text-is("${name}")`);
    await page.waitForFunction((wanted) => document.querySelector("#heading").textContent === wanted, name, { timeout: plan.patience });
    await page.waitForTimeout(200);
  }
  check(bytes < 600_000, `all screens weigh ${bytes}`);
  tell(`all screens: ${bytes} bytes`);
}
