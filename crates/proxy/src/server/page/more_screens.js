// Models, Parser lab, Clients, Logs.

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

function planRow(candidate, place) {
  const facts = candidate.facts || {};
  return [number(place + 1), foreign(candidate.target), candidate.not_ready ? ["! not ready: ", foreign(candidate.not_ready)] : "✓ ready",
    number(candidate.score), number(candidate.open_turns), facts.protocol || "–", tokensText(facts.context_window)];
}

function planForm(names) {
  const input = el("input", { id: "what-if", type: "text", list: "what-if-names", spellcheck: "false", autocomplete: "off" });
  const result = el("div", { role: "status" });
  return el("form", {
    submit: async (event) => {
      event.preventDefault();
      try {
        const plan = await ask("/api/v1/plan?" + new URLSearchParams({ model: input.value.trim() }));
        if (plan.error) fill(result, "✗ ", foreign(plan.error, true));
        else {
          fill(result,
            el("p", {}, plan.route ? ["The route ", foreign(plan.route), " (" + plan.strategy + ") answers; its targets in the order in which a new conversation would ask them. Nothing was sent."]
              : "One target answers. Nothing was sent."),
            table("Who would answer " + plan.asked, ["Place", "Target", "State", "Score (lower is better)", "Open turns", "Protocol", "Window"], plan.candidates.map(planRow)));
        }
      } catch (error) {
        fill(result, "✗ ", foreign(error.message, true));
      }
    },
  }, el("h2", {}, "What happens with a model?"),
  el("div", { class: "bar" }, el("label", { for: "what-if" }, "A name as a client asks for it"), input,
    el("datalist", { id: "what-if-names" }, names.map((name) => el("option", { value: name }))), el("button", { type: "submit" }, "Show")), result);
}

screens.models = {
  async render(place) {
    const list = await ask("/api/v1/models");
    const names = ["Name", "Endpoint", "Window", "Longest answer", "Thinks", "Pictures", "Price for a million"];
    fill(place,
      planForm(list.data.map((model) => model.name).concat(list.routes.map((route) => route.name))),
      el("h2", {}, "Models"),
      list.data.length
        ? table("Models that can be asked for", names, list.data.map((model) => [
          foreign(model.name), foreign(model.endpoint), tokensText(model.context_window), tokensText(model.max_output),
          yes(model.reasoning), yes(model.images), price(model)]))
        : empty("No model is configured. The file is named by", "latimer check"),
      el("h2", {}, "Listed by providers"),
      (list.listed || []).length
        ? table("What providers list", ["Endpoint", "Asked", "Models"], list.listed.map((known) => [
          foreign(known.endpoint), span(known.age_s) + " ago", [number(known.count) + ": ", foreign(known.models.join(", "))]]))
        : el("p", { class: "empty" }, "No provider was asked for its list yet. In a terminal: ", el("code", {}, "latimer endpoints models NAME")),
      el("h2", {}, "Routes"),
      list.routes.length
        ? table("Names that stand for several targets", ["Name", "Also", "Strategy", "Keeps conversations", "Targets, in order"],
          list.routes.map((route) => [foreign(route.name), foreign(route.models.join(", ") || "–"), route.strategy,
            route.affinity ? "yes" : "no", foreign(route.targets.join(", "))]))
        : el("p", { class: "empty" }, "No route is configured: each model has one endpoint."));
  },
};

// The text as a file for the collection of fixtures, with what was made of it beside it.
function fixtureForm(text, tools, pieces) {
  const dialect = (pieces.find((piece) => piece.dialect) || {}).dialect || "plain";
  const name = el("input", { id: "fixture-name", type: "text", spellcheck: "false", value: "what-happens" });
  const bare = () => dialect + "-" + (name.value.trim().replace(/[^A-Za-z0-9_-]+/g, "-") || "what-happens");
  return [el("label", { for: "fixture-name" }, "Name"), name,
    button("Save as a fixture", () => download(bare() + ".txt", "text/plain", text)),
    button("Save what was found", () => download(bare() + ".json", "application/json", JSON.stringify({ dialect, tools, pieces }, null, 2))),
    el("span", { class: "quiet" }, "Look it over for what is private before you send it to anybody.")];
}

screens.parser = {
  render(place) {
    const text = el("textarea", { id: "answer", rows: "10", spellcheck: "false" });
    const tools = el("input", { id: "tools", type: "text", placeholder: "shell, read_file", spellcheck: "false" });
    const result = el("div", { role: "status" });
    const fixture = el("div", { class: "bar" });
    const parse = async () => {
      const names = tools.value.split(",").map((name) => name.trim()).filter(Boolean);
      const report = await ask("/api/v1/parse", { text: text.value, tools: names });
      fill(result,
        el("h2", {}, "Found"),
        report.pieces.length ? table("Pieces of the answer", ["What", "Dialect", "Call", "Arguments or text"], report.pieces.map((piece) => [
          piece.kind, piece.dialect || "–", foreign(piece.name || "–"),
          el("pre", { tabindex: "0", "aria-label": "Arguments or text" }, foreign(piece.arguments || piece.text || "", true))])) : el("p", { class: "empty" }, "There is no text."));
      fill(fixture, report.pieces.length ? fixtureForm(text.value, names, report.pieces) : "");
    };
    fill(place,
      el("form", { submit: (event) => { event.preventDefault(); parse().catch(shown); } },
        el("label", { for: "answer" }, "What a model answered"), text,
        el("label", { for: "tools" }, "Declared tools; without any, those that are named in it"), tools,
        el("button", { type: "submit" }, "Parse")),
      result, fixture);
  },
};

// A line for the terminal, and a button that copies it.
function copyable(text) {
  const said = el("span", { role: "status" });
  const copy = button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(text);
      fill(said, " ✓ copied");
    } catch (_) {
      fill(said, " select it by hand");
    }
  }, { class: "copy", "aria-label": "Copy " + text });
  return [el("code", {}, text), copy, said];
}

// What a client needs that latimer does not know, by the protocol it speaks: lines for a shell, which asks for the token itself.
function environments() {
  const base = location.origin;
  const token = '"$(latimer token)"';
  return [
    ["OpenAI", 'export OPENAI_BASE_URL="' + base + '/v1" OPENAI_API_KEY=' + token],
    ["Anthropic", 'export ANTHROPIC_BASE_URL="' + base + '" ANTHROPIC_AUTH_TOKEN=' + token],
    ["Gemini", 'export GOOGLE_GEMINI_BASE_URL="' + base + '" GEMINI_API_KEY=' + token],
  ];
}

function foundText(client) {
  if (!client.path) return ["not on the proxy's PATH; ", copyable(client.install)];
  return ["✓ ", foreign(client.version || "says no version"), " ", el("span", { class: "quiet" }, foreign(client.path))];
}

screens.clients = {
  async render(place) {
    const [usage, clients] = await Promise.all([ask("/api/v1/usage?by=client&since=30d"), ask("/api/v1/clients")]);
    fill(place,
      el("h2", {}, "Start one"),
      el("p", { class: "quiet" }, "The second line is for a client that you start yourself: it sets the environment of a shell, and the shell asks for the token."),
      table("Clients that can be launched", ["Client", "Found", "Start", "Environment"], clients.data.map((client) => [
        client.name, foundText(client), copyable("latimer launch " + client.program), copyable('eval "$(latimer env ' + client.program + ')"')])),
      el("h2", {}, "Any other client"),
      table("Environment by protocol", ["It speaks", "Environment"], environments().map(([protocol, line]) => [protocol, copyable(line)])),
      el("h2", {}, "Seen in the last 30 days"),
      usage.lines.length
        ? table("Clients", ["Client", "Turns", "Failed", "Input", "Output", "Cost"], usage.lines.map((line) => [
          foreign(line.name), number(line.turns), number(line.failed), number(line.input), number(line.output), money(line.cost_usd)]))
        : empty("No client was here yet. Begin with", "latimer launch codex"));
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
