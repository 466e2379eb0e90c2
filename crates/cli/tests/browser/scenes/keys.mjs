// Everything by keyboard: each control is reached, each focus is seen, links and the drawer work without a mouse.

import { SCREENS, SIZES, check, go, opened, plan, run } from "../page.mjs";

const wanted = () => {
  const isShown = (node) => node.checkVisibility({ visibilityProperty: true }) && !node.closest("[hidden]");
  window.left = new Set([...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
    .filter((node) => !node.disabled && isShown(node)));
  return window.left.size;
};

const step = () => {
  const node = document.activeElement;
  if (!node || node === document.body) return { isBody: true, left: window.left.size };
  const style = getComputedStyle(node);
  const isSeen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  window.left.delete(node);
  return { isSeen, html: node.outerHTML.slice(0, 120), left: window.left.size };
};

async function reach(page, where) {
  await page.evaluate(() => document.activeElement && document.activeElement.blur());
  const count = await page.evaluate(wanted);
  let last = { left: count };
  for (let round = 0; round < count * 2 + 10 && last.left > 0; round++) {
    await page.keyboard.press("Tab");
    last = await page.evaluate(step);
    if (!last.isBody) check(last.isSeen, `${where}: the focus is not seen: ${last.html}`);
  }
  if (last.left > 0) {
    const names = await page.evaluate(() => [...window.left].slice(0, 3).map((node) => node.outerHTML.slice(0, 120)));
    check(false, `${where}: ${last.left} of ${count} are not reached: ${names.join(" | ")}`);
  }
}

run(async () => {
  for (const size of Object.keys(SIZES)) {
    const page = await opened({ size });
    for (const [path, name] of SCREENS) {
      await go(page, path);
      await reach(page, `${name}, ${size}`);
    }
    await walk(page, size);
    await page.context().close();
  }
});

// From screen to screen, into a turn and back.
async function walk(page, size) {
  await go(page, "");
  if (size === "narrow") {
    await page.focus("#menu");
    await page.keyboard.press("Enter");
    check((await page.getAttribute("#menu", "aria-expanded")) === "true", "the menu does not open by keyboard");
  }
  await page.focus("nav a[data-screen=requests]");
  await page.keyboard.press("Enter");
  await page.waitForSelector("button.link", { timeout: plan.patience });
  await page.focus("tbody tr button.link");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector("#drawer").open && document.querySelector("#drawer dl"));
  const isInside = await page.evaluate(() => document.querySelector("#drawer").contains(document.activeElement));
  check(isInside, "the focus is outside of the open drawer");
  await page.keyboard.press("Escape");
  const back = await page.evaluate(() => document.activeElement && document.activeElement.className);
  check(back === "link", `the focus does not go back behind the drawer, but to ${back}`);
  await page.goBack();
  await page.waitForFunction(() => document.querySelector("#heading").textContent === "Overview");
  await page.reload();
  await page.waitForFunction(() => document.querySelector("#heading").textContent === "Overview" && !document.querySelector("#screen").hidden);
}
