// Models, Accounts, Incidents, Parser lab, Clients, Settings, Logs.

function tokensText(value) {
  return value === null || value === undefined ? "not known" : number(value);
}

function yes(value) {
  return value === true ? "yes" : value === false ? "no" : "not known";
}

function price(model) {
  if (model.input_usd === null || model.output_usd === null) return "unpriced";
  return "$" + model.input_usd + " in, $" + model.output_usd + " out";
}

screens.models = {
  async render(place) {
    const list = await ask("/api/v1/models");
    const names = ["Name", "Endpoint", "Window", "Longest answer", "Thinks", "Pictures", "Price for a million"];
    fill(place,
      el("h2", {}, "Models"),
      list.data.length
        ? table("Models that can be asked for", names, list.data.map((model) => [
          foreign(model.name), foreign(model.endpoint), tokensText(model.context_window), tokensText(model.max_output),
          yes(model.reasoning), yes(model.images), price(model)]))
        : empty("No model is configured. The file is named by", "latimer check"),
      el("h2", {}, "Routes"),
      list.routes.length
        ? table("Names that stand for several targets", ["Name", "Also", "Strategy", "Keeps conversations", "Targets, in order"],
          list.routes.map((route) => [foreign(route.name), foreign(route.models.join(", ") || "–"), route.strategy,
            route.affinity ? "yes" : "no", foreign(route.targets.join(", "))]))
        : el("p", { class: "empty" }, "No route is configured: each model has one endpoint."));
  },
};

screens.accounts = {
  async render(place) {
    const document = await ask("/api/v1/accounts");
    const members = document.endpoints.flatMap((endpoint) => endpoint.members.map((member) => [
      foreign(endpoint.endpoint), foreign(member.id),
      member.rate_limited ? "! rests " + span(member.resets_in) + " more" : "✓ ready"]));
    fill(place,
      el("h2", {}, "Keys and accounts in use"),
      members.length ? table("Keys and accounts in use", ["Endpoint", "Key or account", "State"], members)
        : empty("No endpoint has a key or an account. Log in with", "latimer login google"),
      el("h2", {}, "Logins"),
      document.data.length
        ? table("Logins", ["Login", "Account", "State", "Token ends", "From"], document.data.map((account) => [
          account.login, foreign(account.id), { ok: "✓ ok", expired: "is refreshed at its next use", needs_login: "✗ log in again: latimer login " + account.login }[account.state] || account.state,
          account.expires_at ? when(account.expires_at * 1000) : "no end known", foreign(account.source)]))
        : empty("Nobody is logged in. Log in with", "latimer login google"),
      document.problems.length ? el("ul", { class: "problems" }, document.problems.map((text) => el("li", {}, foreign(text)))) : "");
  },
};

function watchdogList(title, headings, rows, none) {
  return [el("h2", {}, title), rows.length ? table(title, headings, rows) : el("p", { class: "empty" }, none)];
}

screens.incidents = {
  async render(place) {
    this.place = place;
    const document = await ask("/api/v1/incidents");
    if (!document.running) {
      fill(place, empty("No watchdog keeps this proxy, so nobody looks for incidents. Start both with", "latimer up"));
      return;
    }
    const { status, incidents } = document.watchdog;
    const at = (ms) => (ms ? when(ms) : "–");
    const words = (value) => (typeof value === "string" ? value : JSON.stringify(value));
    const fixes = (incident) => incident.fixes.map((fix) =>
      words(fix.remedy) + ": helped " + fix.successes + ", did not " + fix.failures).join("; ");
    const ledger = status.ledger || {};
    fill(place,
      el("p", {}, "The watchdog says: ", el("strong", {}, words(status.phase)), ", since ", at(status.since),
        "; " + number(status.starts) + " starts of the proxy" + (status.network_down ? "; the network is down" : "") + "."),
      watchdogList("Announced", ["When", "What", "Why", ""], status.announced.map((order) => [
        at(order.at), foreign(order.what), foreign(order.why),
        button("Cancel", async () => {
          await ask("/api/v1/incidents/cancel", { id: order.id });
          this.render(place).catch(shown);
        }, { "aria-label": "Cancel " + order.what })]), "Nothing is about to be done."),
      watchdogList("Alerts", ["Since", "Fault", "What", "What to run"], status.alerts.slice().reverse().map(({ fault, action }) => [
        at(action.since), fault || "–", foreign(action.what || words(action)), action.run ? el("code", {}, foreign(action.run)) : "–"]), "No alert."),
      watchdogList("Incidents", ["Fault", "What", "Seen", "First", "Last", "What was tried, and whether it helped"], incidents.map((incident) => [
        words(incident.fault || "–"), foreign(incident.title), number(incident.seen), at(incident.first), at(incident.last),
        foreign(fixes(incident) || "nothing yet")]), "No incident is recorded."),
      watchdogList("Seen", ["Fault", "Times"], status.counts.map(([fault, count]) => [fault, number(count)]), "No fault was seen."),
      el("p", { class: "quiet" }, "Questions to a model: " + number(ledger.calls || 0) + ", which cost " + money((ledger.spent_micros || 0) / 1e6) + " this month."));
  },
  live() {
    if (now() - (this.asked || 0) < 3000 || this.place.contains(document.activeElement)) return;
    this.asked = now();
    this.render(this.place).catch(shown);
  },
};

screens.parser = {
  render(place) {
    const text = el("textarea", { id: "answer", rows: "10", spellcheck: "false" });
    const tools = el("input", { id: "tools", type: "text", placeholder: "shell, read_file", spellcheck: "false" });
    const result = el("div", { role: "status" });
    const parse = async () => {
      const names = tools.value.split(",").map((name) => name.trim()).filter(Boolean);
      const report = await ask("/api/v1/parse", { text: text.value, tools: names });
      fill(result,
        el("h2", {}, "Found"),
        report.pieces.length ? table("Pieces of the answer", ["What", "Dialect", "Call", "Arguments or text"], report.pieces.map((piece) => [
          piece.kind, piece.dialect || "–", foreign(piece.name || "–"),
          el("pre", {}, foreign(piece.arguments || piece.text || "", true))])) : el("p", { class: "empty" }, "There is no text."));
    };
    fill(place,
      el("form", { submit: (event) => { event.preventDefault(); parse().catch(shown); } },
        el("label", { for: "answer" }, "What a model answered"), text,
        el("label", { for: "tools" }, "Declared tools; without any, those that are named in it"), tools,
        el("button", { type: "submit" }, "Parse")),
      result);
  },
};

screens.clients = {
  async render(place) {
    const usage = await ask("/api/v1/usage?by=client&since=30d");
    const launches = { Codex: "latimer launch codex", "Claude Code": "latimer launch claude", opencode: "latimer launch opencode", "Gemini CLI": "latimer launch gemini" };
    fill(place,
      el("h2", {}, "Start one"),
      table("Clients that can be launched", ["Client", "Command"], Object.entries(launches).map(([name, line]) => [name, el("code", {}, line)])),
      el("h2", {}, "Seen in the last 30 days"),
      usage.lines.length
        ? table("Clients", ["Client", "Turns", "Failed", "Input", "Output", "Cost"], usage.lines.map((line) => [
          foreign(line.name), number(line.turns), number(line.failed), number(line.input), number(line.output), money(line.cost_usd)]))
        : empty("No client was here yet. Begin with", "latimer launch codex"));
  },
};

screens.settings = {
  async render(place) {
    const file = await ask("/api/v1/config");
    if (!file.path) {
      fill(place, empty("There is no configuration file. What to write is listed by", "latimer presets"));
      return;
    }
    const text = el("textarea", { id: "toml", rows: "24", spellcheck: "false" });
    text.value = file.text;
    const result = el("p", { role: "status" });
    const save = el("button", { type: "submit" }, "Save");
    const form = el("form", {
      submit: async (event) => {
        event.preventDefault();
        save.disabled = true;
        try {
          const saved = await ask("/api/v1/config", { text: text.value, version: file.version });
          file.version = saved.version;
          text.value = saved.text;
          fill(result, "✓ saved; turns that begin now use it");
        } catch (error) {
          fill(result, "✗ ", foreign(error.message, true));
        }
        save.disabled = false;
      },
    }, el("label", { for: "toml" }, "The file ", el("code", {}, foreign(file.path))), text,
    el("p", { class: "quiet" }, "Keys that stand in the file are shown as ", el("code", {}, file.mask), " and stay as they are."),
    save, " ", button("Read again", () => this.render(place).catch(shown)));
    fill(place, form, result, file.refused ? el("p", {}, "✗ The file on the disk is not in use: ", foreign(file.refused, true)) : "");
  },
};

screens.logs = {
  level: "info",
  async render(place) {
    this.place = place;
    const levels = { error: "error", warn: "warn and above", info: "info and above", debug: "everything" };
    const log = await ask("/api/v1/logs?level=" + this.level);
    fill(place,
      el("div", { class: "bar" }, choice("level", "Level", levels, this.level, (value) => { this.level = value; this.render(place).catch(shown); }),
        button("Read again", () => this.render(place).catch(shown))),
      log.lines.length
        ? table("Recent lines, the newest first", ["Time", "Level", "Event", "What"], log.lines.map((line) => [
          when(line.at_ms), line.level, foreign(line.event), foreign(line.text)]))
        : empty("No line of this level. Turns as lines:", "latimer logs"));
  },
};
