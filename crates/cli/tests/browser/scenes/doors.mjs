// Who gets in: nobody without a code, nobody from elsewhere, nobody after five wrong codes; whoever is in stays in.

import { createServer } from "node:http";
import { check, go, opened, plan, request, run, until, window } from "../page.mjs";

run(async () => {
  const page = await opened({ isQuiet: false });
  const cookies = await page.context().cookies();
  const session = cookies.find((cookie) => cookie.name.startsWith("latimer_ui"));
  check(session && session.httpOnly && session.sameSite === "Strict" && session.value !== plan.token, "the cookie is not as it must be");
  check((await page.evaluate(() => document.cookie)) === "", "a script reads the cookie");
  await page.reload();
  await until(page, "Last 30 days");
  await elsewhere(page);
  await locked(page);
});

// A page of another port of this machine, with the session's cookie in the same browser: the same site, another origin.
async function elsewhere(page) {
  const hits = [];
  const server = createServer((asked, answer) => {
    hits.push(asked.url);
    answer.setHeader("content-type", "text/html");
    answer.end(`<!doctype html><title>elsewhere</title><iframe id="f" src="${plan.url}/ui/"></iframe>
      <script src="${plan.url}/ui/app.js" onload="window.ran = 1"></script><img src="${plan.url}/ui/" >`);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const from = `http://127.0.0.1:${server.address().port}`;
  const evil = await page.context().newPage();
  const statuses = new Map();
  evil.on("response", (response) => {
    if (response.url().startsWith(plan.url)) statuses.set(`${response.request().method()} ${response.url()}`, response.status());
  });
  await evil.goto(from);
  const got = await evil.evaluate(async (url) => {
    const found = [];
    const paths = ["/api/v1/turns", "/api/v1/live", "/api/v1/session", "/api/v1/config", "/ui/", "/v1/models"];
    for (const path of paths) {
      for (const mode of ["cors", "no-cors"]) {
        try {
          const answer = await fetch(url + path, { mode, credentials: "include" });
          const text = await answer.text();
          if (text) found.push(path + " as " + mode + ": " + text.slice(0, 80));
        } catch (_) { /* refused, as it must be */ }
      }
    }
    for (const [path, body] of [["/ui/session", '{"code":"x"}'], ["/api/v1/config", '{"text":""}'], ["/api/v1/endpoints/lab/test", "{}"]]) {
      try {
        const answer = await fetch(url + path, { method: "POST", mode: "no-cors", credentials: "include", body });
        const text = await answer.text();
        if (text) found.push(path + ": " + text.slice(0, 80));
      } catch (_) { /* refused */ }
    }
    if (window.ran) found.push("the script of the page ran elsewhere");
    return found;
  }, plan.url);
  for (const fault of got) check(false, `elsewhere got ${fault}`);
  check(statuses.size >= 6, `only ${statuses.size} answers were seen`);
  for (const [what, status] of statuses) check(status === 403, `${what} from elsewhere is answered with ${status}`);
  const framed = await evil.evaluate(() => {
    try {
      return document.querySelector("#f").contentDocument ? "readable" : "";
    } catch (_) { return ""; }
  });
  check(framed !== "readable", "the frame can be read");
  check(!(await evil.frames()[1]?.content().catch(() => "") || "").includes("latimer dashboard"), "the page stands in a frame");
  // By another name of the same machine, the page is not there.
  const port = new URL(plan.url).port;
  const other = await evil.goto(`http://localhost:${port}/ui/`).catch(() => null);
  if (other) check(other.status() === 200 || other.status() === 403, `localhost: ${other.status()}`);
  const crossed = await evil.evaluate(async (url) => fetch(url + "/api/v1/turns", { credentials: "include" }).then((a) => a.text(), () => ""), plan.url);
  check(crossed === "", "localhost reads 127.0.0.1");
  await evil.close();
  server.close();
  const { tested } = await request("tested");
  check(tested === 0, "a page from elsewhere had an endpoint tested");
}

// Five wrong codes; one more tab, the good code and the open session.
async function locked(page) {
  const stranger = await window({ isQuiet: false });
  await stranger.goto(`${plan.url}/ui/`);
  await until(stranger, "latimer dashboard");
  for (let round = 0; round < 5; round++) {
    await stranger.goto("about:blank");
    await stranger.goto(`${plan.url}/ui/#0000000000000000000${round}`);
    await until(stranger, "opens nothing");
  }
  const { code } = await request("code");
  await stranger.goto(`${plan.url}/ui/#${code}`);
  await until(stranger, "too many wrong codes");
  check(!(await stranger.isVisible("#screen")), "a locked door shows a screen");
  await go(page, "requests");
  check((await page.textContent("#heading")) === "Requests", "an open session ends with the lock");
}
