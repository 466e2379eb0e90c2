// Overview, Requests, Providers.

const screens = {};

function kpi(label, value, note) {
  return el("div", { class: "kpi" }, el("dt", {}, label), el("dd", {}, value, note ? el("small", {}, " " + note) : null));
}

function kpis(line) {
  const unpriced = line.unpriced ? counted(line.unpriced, "turn") + " unpriced" : null;
  return el("dl", { class: "kpis" },
    kpi("Turns", number(line.turns)),
    kpi("Failed", number(line.failed), "(" + percent(line.failed, line.turns) + ")"),
    kpi("Input", number(line.input), "tokens"),
    kpi("Cached", number(line.cached), "(" + percent(line.cached, line.input) + ")"),
    kpi("Output", number(line.output), "tokens"),
    kpi("Cost", money(line.cost_usd), unpriced));
}

function endpointWords(endpoint) {
  if (endpoint.rests_until) return "rests " + span(endpoint.rests_until - now() / 1000) + " more";
  return { ok: "ok", failing: "its last turn failed", idle: "idle, no turn yet", paused: "paused" }[endpoint.state] || endpoint.state;
}

function endpointMark(endpoint) {
  if (endpoint.rests_until) return ["rest", "!"];
  if (endpoint.state === "paused") return ["idle", "‖"];
  return { ok: ["good", "✓"], failing: ["bad", "✗"] }[endpoint.state] || ["idle", "○"];
}

// An endpoint is configured, and perhaps it serves at this moment: said in words, and by the colour.
function servingWords(endpoint) {
  if (endpoint.turns_open) return "serving now: " + counted(endpoint.turns_open, "turn");
  return endpoint.state === "paused" ? "not used" : "configured";
}

function pill(endpoint) {
  const [kind, mark] = endpointMark(endpoint);
  return el("li", { class: "pill " + kind + (endpoint.turns_open ? " serving" : "") },
    el("span", { "aria-hidden": "true" }, (endpoint.turns_open ? "▶" : mark) + " "), foreign(endpoint.name), " ",
    el("span", { "data-rests": endpoint.rests_until }, endpointWords(endpoint)), ", ", el("strong", {}, servingWords(endpoint)));
}

function problemLine(problem) {
  const since = problem.since ? ", since " + span(now() / 1000 - problem.since) + " ago" : "";
  const until = problem.until ? ", for " + span(problem.until - now() / 1000) + " more" : "";
  return el("li", {}, el("span", { "aria-hidden": "true" }, "✗ "), foreign(problem.who), ": ", foreign(problem.what),
    since + until + "; ", foreign(problem.next));
}

const RUNNING = ["Turn", "Client", "Model", "Endpoint", "State", "For"];

function runningRow(turn) {
  return [
    button(turn.id, () => openDrawer(turn.id), { class: "link" }),
    foreign(turn.client || "–"), foreign(turn.model || turn.asked || "–"), foreign(turn.endpoint || "–"),
    foreign(stateText(turn)), seconds(Math.max(0, now() - turn.begun_ms)),
  ];
}

screens[""] = {
  render(place) {
    this.place = place;
    if (state.live) this.live(state.live);
    else fill(place, el("p", {}, "Loading …"));
  },
  live(live) {
    const parts = [
      el("h2", {}, "Last 30 days"), kpis(live.month),
      el("p", { class: "quiet" }, "Last 24 hours: " + counted(live.day.turns, "turn") + ", " + money(live.day.cost_usd)),
    ];
    if (live.problems.length) parts.push(el("h2", {}, "Not well"), el("ul", { class: "problems" }, live.problems.map(problemLine)));
    parts.push(el("h2", {}, "Endpoints"));
    parts.push(live.endpoints.length
      ? el("ul", { class: "pills" }, live.endpoints.map(pill))
      : empty("No endpoint is configured. Known providers:", "latimer presets"));
    parts.push(el("h2", {}, "Running"));
    if (live.running.length) {
      parts.push(table("Turns under way: " + number(live.turns_open), RUNNING, live.running.map(runningRow)));
    } else if (live.month.turns === 0) {
      parts.push(empty("No turn yet. Begin one with", "latimer launch codex"));
    } else {
      parts.push(el("p", { class: "empty" }, "No turn is under way."));
    }
    if (live.warnings.length) {
      parts.push(el("h2", {}, "Warnings"), el("ul", {}, live.warnings.slice(-5).reverse().map((text) => el("li", {}, foreign(text)))));
    }
    fill(this.place, ...parts);
  },
  always: true,
  tick() {
    const isCounting = state.live && (state.live.running.length || state.live.endpoints.some((endpoint) => endpoint.rests_until));
    if (isCounting && !this.place.contains(document.activeElement)) this.live(state.live);
  },
};

const REQUESTS = ["Time", "Turn", "Client", "Model", "Endpoint", "Result", "Tokens", "Cost", "Took"];

function requestRow(turn) {
  const failure = turn.failure;
  const result = failure
    ? [el("strong", {}, el("span", { "aria-hidden": "true" }, "✗ "), failure.code), " ", foreign(failure.message)]
    : foreign(stateText(turn));
  return {
    attributes: { class: failure ? "failed" : null, "data-turn": turn.id },
    cells: [
      when(turn.begun_ms + turn.ms), button(turn.id, () => openDrawer(turn.id), { class: "link" }), foreign(turn.client),
      foreign(turn.model || turn.asked), foreign(turn.endpoint), result, tokens(turn),
      turn.cost_usd === null ? "–" : money(turn.cost_usd), seconds(turn.ms),
    ],
  };
}

screens.requests = {
  render(place) {
    this.filter = el("input", { type: "search", id: "filter", autocomplete: "off", spellcheck: "false", input: () => this.later() });
    this.errors = el("input", { type: "checkbox", id: "errors", change: () => this.load() });
    this.list = el("div", {});
    this.more = button("Older turns", () => this.load(this.next));
    this.count = el("p", { class: "quiet", role: "status" });
    fill(place,
      el("form", { class: "bar", submit: (event) => event.preventDefault() },
        el("label", { for: "filter" }, "Filter"), this.filter,
        el("label", { class: "check" }, this.errors, " Only failed ones")),
      this.count, this.list, this.more);
    return this.load();
  },
  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(), 80);
  },
  async load(before) {
    const asked = (this.asked = (this.asked || 0) + 1);
    const parameters = new URLSearchParams({ limit: "100" });
    if (this.filter.value.trim()) parameters.set("filter", this.filter.value.trim());
    if (this.errors.checked) parameters.set("errors", "1");
    if (before !== undefined) parameters.set("before", String(before));
    const page = await ask("/api/v1/turns?" + parameters);
    if (asked !== this.asked) return;
    if (before === undefined) this.turns = page.running.slice().reverse().concat(page.data);
    else this.turns = this.turns.concat(page.data);
    this.next = page.next;
    this.show();
  },
  show() {
    const isFiltered = this.filter.value.trim() || this.errors.checked;
    this.more.hidden = this.next === null;
    this.count.textContent = this.turns.length ? counted(this.turns.length, "turn") + " shown" : "";
    if (this.turns.length) fill(this.list, table("Turns, the newest first", REQUESTS, this.turns.map(requestRow)));
    else if (isFiltered) fill(this.list, el("p", { class: "empty" }, "No turn fits this filter."));
    else fill(this.list, empty("No turn yet. Begin one with", "latimer launch codex"));
  },
  live(live) {
    if (!this.turns || this.filter.value.trim() || this.errors.checked || this.turns.length > 100) return;
    const known = new Map(this.turns.map((turn) => [turn.id, turn]));
    const fresh = live.running.slice().reverse().concat(live.finished).filter((turn) => {
      const old = known.get(turn.id);
      return !old || old.state !== turn.state;
    });
    if (!fresh.length) return;
    const names = new Set(fresh.map((turn) => turn.id));
    this.turns = fresh.concat(this.turns.filter((turn) => !names.has(turn.id))).slice(0, 100);
    if (!this.list.contains(document.activeElement)) this.show();
  },
};

function learned(endpoint, lesson, reload) {
  const said = lesson.words ? [" from: ", foreign(lesson.words)] : null;
  return el("li", {}, foreign(lesson.model), ": ", foreign(lesson.meaning), said, " ",
    button("Forget", async () => {
      await ask("/api/v1/endpoints/" + encodeURIComponent(endpoint.name) + "/forget", { lesson: lesson.lesson });
      reload();
    }, { "aria-label": "Forget " + lesson.lesson + " of " + endpoint.name }));
}

function providerCard(endpoint, reload, place, count, quota) {
  const [kind, mark] = endpointMark(endpoint);
  const result = el("p", { role: "status" });
  const path = "/api/v1/endpoints/" + encodeURIComponent(endpoint.name);
  const isPaused = endpoint.state === "paused";
  const change = (what, body) => async () => {
    try {
      await ask(path + what, body || {});
      reload(endpoint.name);
    } catch (error) {
      fill(result, "✗ ", foreign(error.message, true));
    }
  };
  const named = (label, action, more) => button(label, action, { "aria-label": label + " " + endpoint.name, ...more });
  const test = named("Test", async () => {
    test.disabled = true;
    fill(result, "Asking …");
    try {
      const answer = await ask(path + "/test", {});
      if (answer.works) fill(result, "✓ works in " + number(answer.ms) + " ms (" + answer.turn + ")");
      else fill(result, "✗ ", foreign(answer.message || "status " + answer.status), " (" + answer.turn + ")");
    } catch (error) {
      fill(result, "✗ ", foreign(error.message));
    }
    test.disabled = false;
  });
  const rests = endpoint.members.filter((member) => member.rests_s !== null);
  return el("article", { class: "card " + kind, "data-endpoint": endpoint.name },
    el("h2", {}, foreign(endpoint.name)),
    el("p", {}, el("span", { "aria-hidden": "true" }, mark + " "), el("span", {}, endpointWords(endpoint)),
      endpoint.rests_until ? [", until ", when(endpoint.rests_until * 1000), ", because ", foreign(endpoint.rests_because)] : null,
      ", ", el("strong", { class: endpoint.turns_open ? "serving" : null }, servingWords(endpoint))),
    isPaused ? el("p", {}, "It stands in the file with ", el("code", {}, "enabled = false"), "; nothing leads to it until it is resumed.") : null,
    endpoint.last_message ? el("p", {}, "Last failure: ", foreign(endpoint.last_message)) : null,
    el("p", { class: "quiet" }, endpoint.protocol + " at ", foreign(endpoint.base_url)),
    isPaused ? null : el("p", {}, counted(endpoint.turns_total, "turn") + " since the start, " + number(endpoint.turns_failed) + " failed, " + number(endpoint.turns_open) + " open"),
    isPaused ? null : el("p", {}, endpoint.members.length ? number(endpoint.members.length) + " keys and accounts, " + number(rests.length) + " resting" : "no key and no account",
      rests.length ? [": ", rests.map((member, at) => [at ? ", " : "", foreign(member.id), " for " + span(member.rests_s) + " more"])] : null),
    quotaList(quota, endpoint.name),
    endpoint.learned.length
      ? [el("h3", {}, "Learned"), el("ul", {}, endpoint.learned.map((lesson) => learned(endpoint, lesson, () => reload(endpoint.name))))]
      : el("p", { class: "quiet" }, "Nothing was learned of it."),
    el("div", { class: "bar" }, isPaused ? null : test,
      endpoint.rests_until ? named("Try again now", change("/retry")) : null,
      isPaused ? named("Resume", change("/resume")) : named("Pause", change("/pause")),
      place > 0 ? named("Up", change("/move", { direction: "up" })) : null,
      place + 1 < count ? named("Down", change("/move", { direction: "down" })) : null),
    result);
}

screens.providers = {
  async render(place, focused) {
    this.place = place;
    const [{ data: list }, quota] = await Promise.all([ask("/api/v1/endpoints"), quotas()]);
    const reload = (name) => this.render(place, name).catch(shown);
    fill(place, ...(list.length
      ? [el("p", { class: "quiet" }, "In the order of the file: of several that offer a model, the first one answers."),
        list.map((endpoint, at) => providerCard(endpoint, reload, at, list.length, quota))]
      : [empty("No endpoint is configured. Known providers:", "latimer presets")]));
    const card = focused === undefined ? null : [...place.querySelectorAll("article")].find((one) => one.dataset.endpoint === focused);
    if (card) card.querySelector("button").focus();
  },
};
