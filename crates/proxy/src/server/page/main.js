// The frame: which screen is open, and what is live.

const state = { live: null, open: "", source: null, heard: 0, signedIn: false };
const byId = (id) => document.getElementById(id);

function shown(error) {
  const notice = byId("notice");
  if (error && (error.status === 401 || error.status === 403) && error.message.indexOf("csrf") < 0) return gate(error.message);
  notice.hidden = false;
  notice.textContent = error && error.message ? error.message : String(error);
}

function gate(why) {
  state.signedIn = false;
  if (state.source) state.source.close();
  byId("gate").hidden = false;
  byId("screen").hidden = true;
  byId("gate-why").textContent = why || "";
  connection("not signed in: run latimer dashboard");
}

function connection(text, isBad) {
  const place = byId("connection");
  if (place.textContent !== text) place.textContent = text;
  place.className = isBad ? "bad" : "";
}

async function open(path, isNew) {
  const screen = screens[path] ? path : "";
  state.open = screen;
  for (const link of document.querySelectorAll("nav a")) {
    const isOpen = link.dataset.screen === screen;
    if (isOpen) {
      link.setAttribute("aria-current", "page");
      byId("heading").textContent = link.textContent;
      document.title = link.textContent + " · latimer";
    } else link.removeAttribute("aria-current");
  }
  byId("notice").hidden = true;
  byId("menu").setAttribute("aria-expanded", "false");
  byId("screens").classList.remove("open");
  const place = el("div", { id: "content" }, el("p", {}, "Loading …"));
  byId("content").replaceWith(place);
  if (isNew) byId("main").focus();
  try {
    await screens[screen].render(place);
  } catch (error) {
    fill(place);
    shown(error);
  }
}

function pathOf(url) {
  return new URL(url).pathname.replace(/^\/ui\/?/, "").replace(/\/$/, "");
}

function listen() {
  if (state.source) state.source.close();
  const source = (state.source = new EventSource("/api/v1/live"));
  source.addEventListener("live", (event) => {
    if (source !== state.source) return;
    const live = JSON.parse(event.data);
    clockOffset = live.now_ms - Date.now();
    state.live = live;
    state.heard = Date.now();
    connection(live.status === "ok" ? "live" : "latimer is stopping");
    const screen = screens[state.open];
    if (screen.live && !byId("screen").hidden) screen.live(live);
  });
  source.onerror = () => {
    if (source !== state.source) return;
    connection("connection lost; trying again", true);
    if (source.readyState === EventSource.CLOSED) {
      state.source = null;
      setTimeout(reconnect, 1000);
    }
  };
}

async function reconnect() {
  try {
    await meet();
    listen();
  } catch (error) {
    if (error instanceof Refused && (error.status === 401 || error.status === 403)) gate("The session is over.");
    else setTimeout(reconnect, 1000);
  }
}

function watch() {
  if (!state.signedIn || document.hidden) return;
  if (state.source && state.heard && Date.now() - state.heard > 7500) {
    connection("connection lost; trying again", true);
    state.heard = Date.now();
    state.source.close();
    state.source = null;
    reconnect();
  }
  const screen = screens[state.open];
  if (screen.tick && state.live && (screen.always || state.live.running.length)) screen.tick();
}

async function signIn() {
  const code = location.hash.slice(1);
  if (code) {
    history.replaceState(null, "", location.pathname);
    try {
      await ask("/ui/session", { code });
    } catch (error) {
      return gate(error.message);
    }
  }
  try {
    await meet();
  } catch (error) {
    if (error instanceof Refused) return gate("");
    connection("connection lost; trying again", true);
    return setTimeout(signIn, 1000);
  }
  state.signedIn = true;
  byId("gate").hidden = true;
  byId("screen").hidden = false;
  listen();
  open(pathOf(location.href), false);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest ? event.target.closest("nav a") : null;
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || !state.signedIn) return;
  event.preventDefault();
  if (link.dataset.screen !== state.open) history.pushState(null, "", link.href);
  open(link.dataset.screen, true);
});
window.addEventListener("popstate", () => open(pathOf(location.href), false));
window.addEventListener("hashchange", signIn);
window.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  shown(event.reason);
});
document.addEventListener("visibilitychange", () => {
  if (!state.signedIn) return;
  if (document.hidden && state.source) {
    state.source.close();
    state.source = null;
  } else if (!document.hidden && !state.source) {
    state.heard = 0;
    reconnect();
  }
});
byId("menu").addEventListener("click", () => {
  const isOpen = byId("screens").classList.toggle("open");
  byId("menu").setAttribute("aria-expanded", String(isOpen));
});
setInterval(watch, 1000);
signIn();
