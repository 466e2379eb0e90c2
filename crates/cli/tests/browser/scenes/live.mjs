// What happens is on the page within two seconds, an idle page is quiet, and a restart is said and got over.

import { bestOf, check, go, opened, plan, request, run, tell, turn, until } from "../page.mjs";

run(async () => {
  const page = await opened();
  for (const screen of ["requests", "usage", "clients", ""]) {
    await go(page, screen);
    await until(page, "latimer launch");
  }
  const shown = await bestOf(5, 2000, async () => {
    const answer = turn("glm-5", "take your time");
    const took = await until(page, "streaming");
    await answer;
    await page.waitForFunction(() => !document.querySelector("main").innerText.includes("streaming"), undefined, { timeout: plan.patience });
    return took;
  });
  check(shown < 2000, `a turn is shown after ${shown} ms`);
  tell(`a turn is on the page after ${shown} ms`);
  await idle(page);
  await restart(page);
});

async function idle(page) {
  await page.waitForTimeout(500);
  const before = page.requests.length;
  await page.waitForTimeout(5000);
  const asked = page.requests.length - before;
  check(asked <= 10, `${asked} requests in five idle seconds`);
  tell(`${asked} requests in five idle seconds`);
}

async function restart(page) {
  page.isQuiet = false;
  const says = (pattern, limit) => page.waitForFunction(
    (text) => new RegExp(text).test(document.querySelector("#connection").textContent), pattern, { timeout: limit, polling: 50 });
  const begun = Date.now();
  const lost = says("lost", 8000 + plan.patience).then(() => Date.now() - begun);
  await request("restart");
  const after = await lost;
  const back = Date.now();
  await says("^live", 15000 + plan.patience);
  tell(`the loss is said after ${after} ms, and it goes on ${Date.now() - back} ms later`);
  check(after < 8000, `the loss of the connection is said after ${after} ms`);
  await turn("glm-5", "again");
  await until(page, "Turns");
}
