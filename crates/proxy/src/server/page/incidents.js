// Incidents: what the watchdog saw, did and is about to do, and what a person says to that.

function watchdogList(title, headings, rows, none) {
  return [el("h2", {}, title), rows.length ? table(title, headings, rows) : el("p", { class: "empty" }, none)];
}

const words = (value) => (typeof value === "string" ? value : JSON.stringify(value));
const atTime = (ms) => (ms ? when(ms) : "–");

// How far each tier may go. The file has the last word; what it leaves out stands at its default.
const SWITCHES = {
  tier1: ["Apply rules", "The table of faults and remedies.", true],
  tier2: ["Apply what helped", "A remedy that worked before is tried again.", true],
  tier3: ["Ask a model", "For what neither covers, within the budget.", true],
  auto_restart: ["Restart by itself", "A proxy that is gone or hangs is started again without asking.", true],
  auto_switch_provider: ["Switch by itself", "Turns go to another provider without asking; otherwise it is offered.", false],
};

async function monitoringForm(switches, ledger, reload) {
  const models = (await ask("/api/v1/models")).data;
  const endpoints = [...new Set(models.map((model) => model.endpoint))];
  const boxes = {};
  const result = el("p", { role: "status" });
  const rows = Object.entries(SWITCHES).map(([name, [label, meaning, usual]]) => {
    const isOn = switches[name] === null || switches[name] === undefined ? usual : switches[name];
    boxes[name] = el("input", { type: "checkbox", id: "switch-" + name, checked: isOn });
    return el("li", {}, el("label", { class: "check" }, boxes[name], " " + label), " ", el("span", { class: "quiet" }, meaning));
  });
  const endpoint = el("select", { id: "ai-endpoint" }, el("option", { value: "" }, "none: no model is asked"),
    endpoints.map((name) => el("option", { value: name, selected: name === switches.endpoint }, name)));
  const model = el("input", { id: "ai-model", type: "text", list: "ai-models", spellcheck: "false", value: switches.model || "" });
  const list = el("datalist", { id: "ai-models" }, [...new Set(models.map((known) => known.model))].map((name) => el("option", { value: name })));
  const budget = el("input", { id: "ai-budget", type: "number", min: "0", max: "10000", step: "0.01", value: switches.monthly_budget === null || switches.monthly_budget === undefined ? "2" : String(switches.monthly_budget) });
  const spent = "Asked " + number(ledger.calls || 0) + " times since the beginning; " + money((ledger.spent_micros || 0) / 1e6) + " this month.";
  return el("form", {
    submit: async (event) => {
      event.preventDefault();
      const wanted = Object.fromEntries(Object.entries(boxes).map(([name, box]) => [name, box.checked]));
      try {
        await ask("/api/v1/incidents/switches", { ...wanted, endpoint: endpoint.value, model: model.value.trim(), monthly_budget: Number(budget.value) });
        fill(result, "✓ saved; the watchdog reads it within seconds");
      } catch (error) {
        fill(result, "✗ ", foreign(error.message, true));
      }
    },
  }, el("h2", {}, "Monitoring"), el("ul", { class: "plain" }, rows),
  el("div", { class: "bar" },
    el("label", { for: "ai-endpoint" }, "Ask"), endpoint,
    el("label", { for: "ai-model" }, "Model"), model, list,
    el("label", { for: "ai-budget" }, "US dollars a month"), budget,
    el("button", { type: "submit" }, "Save")),
  el("p", { class: "quiet" }, spent), result);
}

// What is about to be done: looked at every second, so that three seconds are enough to say no.
function announcedList(orders, reload) {
  return watchdogList("Announced", ["When", "What", "Why", "By", ""], orders.map((order) => announcedRow(order, reload)), "Nothing is about to be done.");
}

function announcedRow(order, reload) {
  const left = el("span", { class: "countdown", "data-until": order.at }, countdown(order.at));
  return [left, foreign(order.what), foreign(order.why), order.by ? words(order.by) : "–",
    button("Cancel", async () => { await ask("/api/v1/incidents/cancel", { id: order.id }); reload(); }, { "aria-label": "Cancel " + order.what })];
}

function countdown(at) {
  const left = (at - now()) / 1000;
  return left > 0 ? "in " + left.toFixed(1) + " s" : "now";
}

const NEVER = 10 * 365 * 86400;

function incidentRow(incident, silenced, reload) {
  const isSilent = silenced.has(incident.fault);
  const say = (seconds) => async () => { await ask("/api/v1/incidents/silence", { fault: incident.fault, seconds }); reload(); };
  const fixes = incident.fixes.map((fix) => el("li", {}, foreign(words(fix.remedy)), ", by " + words(fix.source) + ": helped " + number(fix.successes)
    + ", did not " + number(fix.failures)));
  const facts = Object.entries(incident.facts || {}).map(([name, value]) => name + " " + words(value)).join(", ");
  return [
    incident.fault || "–", [foreign(incident.title), facts ? [" (", foreign(facts), ")"] : null],
    number(incident.seen), atTime(incident.first), atTime(incident.last),
    fixes.length ? el("ul", { class: "plain" }, fixes) : "nothing was tried",
    incident.applied ? foreign(words(incident.applied)) : "–",
    incident.questions ? money(incident.cost_micros / 1e6) + " for " + number(incident.questions) + (incident.questions === 1 ? " question, " : " questions, ") + number(incident.tokens) + " tokens" : "no model was asked",
    incident.fault ? (isSilent
      ? button("Act again", say(0), { "aria-label": "Act again on " + incident.fault })
      : button("Never again", say(NEVER), { "aria-label": "Never again: " + incident.fault })) : "",
  ];
}

screens.incidents = {
  async render(place) {
    this.place = place;
    const document = await ask("/api/v1/incidents");
    const reload = () => this.render(place).catch(shown);
    const undo = watchdogList("Changes in force", ["What", "Why", "For", ""], document.overrides.map((change) => [
      [change.kind === "avoid_endpoint" ? "avoids " : "is more patient with ", foreign(change.endpoint)], foreign(change.why || "–"), span(change.seconds_left) + " more",
      button("Undo", async () => { await ask("/api/v1/incidents/undo", { id: change.id }); reload(); }, { "aria-label": "Undo " + change.kind + " of " + change.endpoint })]),
    "No change is in force.");
    this.announced = null;
    this.alerts = document.running ? document.watchdog.status.alerts.length : 0;
    if (!document.running) {
      fill(place, empty("No watchdog keeps this proxy, so nobody looks for incidents. Start both with", "latimer up"),
        document.overrides.length ? undo : "");
      return;
    }
    const { status, incidents } = document.watchdog;
    this.announced = el("div", {}, announcedList(status.announced, reload));
    this.orders = status.announced.map((order) => order.id).join();
    const silenced = new Map((status.silenced || []).map(([fault, until]) => [fault, until]));
    const monitoring = document.switches ? await monitoringForm(document.switches, status.ledger || {}, reload) : "";
    fill(place,
      el("p", {}, "The watchdog says: ", el("strong", {}, words(status.phase)), ", since ", atTime(status.since),
        "; " + number(status.starts) + " starts of the proxy" + (status.network_down ? "; the network is down" : "") + "."),
      this.announced,
      watchdogList("Offered", ["What", "For", ""], (status.offered || []).map((offer) => [
        foreign(words(offer.remedy)), foreign(words(offer.pattern)),
        button("Accept", async () => { await ask("/api/v1/incidents/accept", { id: offer.id }); reload(); }, { "aria-label": "Accept offer " + offer.id })]), "Nothing is offered."),
      undo,
      watchdogList("Alerts", ["Since", "Fault", "What", "What to run"], status.alerts.slice().reverse().map(({ fault, action }) => [
        atTime(action.since), fault || "–", foreign(action.what || words(action)), action.run ? el("code", {}, foreign(action.run)) : "–"]), "No alert."),
      watchdogList("Incidents", ["Fault", "What", "Seen", "First", "Last", "Tried, by whom, and whether it helped", "Applied next time", "What asking a model cost", ""],
        incidents.map((incident) => incidentRow(incident, silenced, reload)), "No incident is recorded."),
      watchdogList("Silenced", ["Fault", "Until", ""], [...silenced].map(([fault, until]) => [fault, until ? when(until) : "for good",
        button("Act again", async () => { await ask("/api/v1/incidents/silence", { fault, seconds: 0 }); reload(); }, { "aria-label": "Act again on silenced " + fault })]), "No fault is silenced."),
      watchdogList("Seen", ["Fault", "Times"], status.counts.map(([fault, count]) => [fault, number(count)]), "No fault was seen."),
      monitoring);
  },
  always: true,
  async tick() {
    for (const place of document.querySelectorAll(".countdown[data-until]")) place.textContent = countdown(Number(place.dataset.until));
    if (!this.place || this.isAsking) return;
    this.isAsking = true;
    try {
      const known = await ask("/api/v1/incidents");
      const isSame = known.running === Boolean(this.announced) && (!known.running || known.watchdog.status.alerts.length === this.alerts);
      if (!isSame && !this.place.contains(document.activeElement)) await this.render(this.place);
      else if (known.running && this.announced) {
        const orders = known.watchdog.status.announced;
        const ids = orders.map((order) => order.id).join();
        if (ids !== this.orders) fill(this.announced, announcedList(orders, () => this.render(this.place).catch(shown)));
        this.orders = ids;
      }
    } catch (_) {
      // The connection says so itself.
    }
    this.isAsking = false;
  },
};
