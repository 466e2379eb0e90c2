// Overview, Requests, Providers, Usage.

const screens = {};

function kpi(label, value, note) {
  return el("div", { class: "kpi" }, el("dt", {}, label), el("dd", {}, value, note ? el("small", {}, " " + note) : null));
}

function kpis(line) {
  const unpriced = line.unpriced ? number(line.unpriced) + " turns unpriced" : null;
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
  return { ok: "ok", failing: "its last turn failed", idle: "idle, no turn yet" }[endpoint.state] || endpoint.state;
}

function endpointMark(endpoint) {
  if (endpoint.rests_until) return ["rest", "!"];
  return { ok: ["good", "✓"], failing: ["bad", "✗"] }[endpoint.state] || ["idle", "○"];
}

function pill(endpoint) {
  const [kind, mark] = endpointMark(endpoint);
  return el("li", { class: "pill " + kind },
    el("span", { "aria-hidden": "true" }, mark + " "), foreign(endpoint.name), " ",
    el("span", {}, endpointWords(endpoint)), endpoint.turns_open ? ", " + number(endpoint.turns_open) + " open" : null);
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
      el("p", { class: "quiet" }, "Last 24 hours: " + number(live.day.turns) + " turns, " + money(live.day.cost_usd)),
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
  tick() {
    if (state.live && !this.place.contains(document.activeElement)) this.live(state.live);
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
    this.count.textContent = this.turns.length ? number(this.turns.length) + " turns shown" : "";
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

function providerCard(endpoint, reload) {
  const [kind, mark] = endpointMark(endpoint);
  const result = el("p", { role: "status" });
  const path = "/api/v1/endpoints/" + encodeURIComponent(endpoint.name);
  const test = button("Test", async () => {
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
  }, { "aria-label": "Test " + endpoint.name });
  const rests = endpoint.members.filter((member) => member.rests_s !== null);
  return el("article", { class: "card " + kind },
    el("h2", {}, foreign(endpoint.name)),
    el("p", {}, el("span", { "aria-hidden": "true" }, mark + " "), endpointWords(endpoint),
      endpoint.rests_until ? [", until ", when(endpoint.rests_until * 1000), ", because ", foreign(endpoint.rests_because)] : null),
    endpoint.last_message ? el("p", {}, "Last failure: ", foreign(endpoint.last_message)) : null,
    el("p", { class: "quiet" }, endpoint.protocol + " at ", foreign(endpoint.base_url)),
    el("p", {}, number(endpoint.turns_total) + " turns since the start, " + number(endpoint.turns_failed) + " failed, " + number(endpoint.turns_open) + " open"),
    el("p", {}, endpoint.members.length ? number(endpoint.members.length) + " keys and accounts, " + number(rests.length) + " resting" : "no key and no account"),
    endpoint.learned.length
      ? [el("h3", {}, "Learned"), el("ul", {}, endpoint.learned.map((lesson) => learned(endpoint, lesson, reload)))]
      : el("p", { class: "quiet" }, "Nothing was learned of it."),
    el("div", { class: "bar" }, test,
      endpoint.rests_until ? button("Try again now", async () => { await ask(path + "/retry", {}); reload(); }) : null),
    result);
}

screens.providers = {
  async render(place) {
    this.place = place;
    const list = await ask("/api/v1/endpoints");
    const reload = () => this.render(place).catch(shown);
    fill(place, ...(list.data.length
      ? list.data.map((endpoint) => providerCard(endpoint, reload))
      : [empty("No endpoint is configured. Known providers:", "latimer presets")]));
  },
};

const GROUPS = ["model", "endpoint", "account", "client", "session", "day", "hour", "failure"];
const WINDOWS = { "24h": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days", "90d": "Last 90 days" };
const USAGE = ["Turns", "Failed", "Input", "Cached", "Output", "p50", "p95", "Cost"];

function usageCells(line) {
  return [
    foreign(line.name), number(line.turns), number(line.failed), number(line.input), percent(line.cached, line.input),
    number(line.output), seconds(line.p50_ms), seconds(line.p95_ms), money(line.cost_usd),
  ];
}

// Bars beside their numbers: the table below says the same in text.
function bars(lines) {
  const shown = lines.slice(-31);
  const most = Math.max(1, ...shown.map((line) => line.turns));
  const width = 640 / Math.max(1, shown.length);
  const label = "Turns for each day: " + shown.map((line) => line.name + " " + line.turns).join(", ");
  return svg("svg", { class: "bars", viewBox: "0 0 640 120", role: "img", "aria-label": label },
    shown.map((line, place) => {
      const height = (line.turns * 110) / most;
      return svg("rect", { x: place * width + 1, y: 120 - height, width: Math.max(1, width - 2), height },
        svg("title", {}, line.name + ": " + line.turns + " turns, " + money(line.cost_usd)));
    }));
}

// A spreadsheet must not take a name for a formula.
function csvCell(value) {
  const text = String(value).replace(/"/g, '""');
  return '"' + (/^[=+\-@\t\r]/.test(text) ? "'" : "") + text + '"';
}

function download(name, kind, text) {
  const link = el("a", { download: name, href: URL.createObjectURL(new Blob([text], { type: kind })) });
  link.click();
  URL.revokeObjectURL(link.href);
}

function choice(id, label, options, chosen, action) {
  const select = el("select", { id, change: () => action(select.value) },
    Object.entries(options).map(([value, text]) => el("option", { value, selected: value === chosen }, text)));
  return [el("label", { for: id }, label), select];
}

screens.usage = {
  by: "model",
  since: "30d",
  async render(place) {
    this.place = place;
    const by = Object.fromEntries(GROUPS.map((group) => [group, group]));
    const [report, days] = await Promise.all([
      ask("/api/v1/usage?" + new URLSearchParams({ by: this.by, since: this.since })),
      ask("/api/v1/usage?" + new URLSearchParams({ by: "day", since: this.since })),
    ]);
    const again = () => this.render(place).catch(shown);
    const lines = report.lines;
    const fields = ["name", "turns", "failed", "input", "cached", "output", "reasoning", "p50_ms", "p95_ms", "cost_usd", "unpriced"];
    const csv = [fields.map(csvCell).join(",")].concat(lines.map((line) => fields.map((f) => csvCell(line[f])).join(","))).join("\r\n");
    fill(place,
      el("div", { class: "bar" },
        choice("by", "By", by, this.by, (value) => { this.by = value; again(); }),
        choice("since", "Time", WINDOWS, this.since, (value) => { this.since = value; again(); }),
        button("CSV", () => download("usage.csv", "text/csv", csv)),
        button("JSON", () => download("usage.json", "application/json", JSON.stringify(report, null, 2)))),
      kpis(report.total),
      el("h2", {}, "By " + this.by),
      lines.length
        ? table("Usage by " + this.by, [this.by].concat(USAGE), lines.map(usageCells).concat([usageCells(report.total)]))
        : empty("No turn in this time. Begin one with", "latimer launch codex"),
      el("h2", {}, "By day (local time)"),
      days.lines.length ? bars(days.lines) : "",
      days.lines.length ? table("Turns for each day", ["Day", "Turns", "Input", "Output", "Cost"],
        days.lines.slice().reverse().map((line) => [foreign(line.name), number(line.turns), number(line.input), number(line.output), money(line.cost_usd)])) : "");
  },
};
