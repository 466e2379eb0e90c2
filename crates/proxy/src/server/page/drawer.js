// The drawer of one turn: its phases, its attempts, what was changed, both requests, and the same turn once more to another target.

function line(label, ...value) {
  return [el("dt", {}, label), el("dd", {}, value)];
}

function attemptItem(attempt) {
  const where = [foreign(attempt.endpoint + "/" + attempt.model), attempt.account ? [" with ", foreign(attempt.account)] : null, " at " + seconds(attempt.at_ms)];
  if (!attempt.failure) return el("li", {}, where);
  const status = attempt.failure.status ? " (" + attempt.failure.status + ")" : "";
  const wait = attempt.wait_ms ? ", then waited " + seconds(attempt.wait_ms) : "";
  return el("li", {}, where, ": ", el("strong", {}, attempt.failure.code + status), " after " + seconds(attempt.ms) + ": ",
    foreign(attempt.failure.message), "; " + (attempt.then || "") + wait);
}

function candidateItem(candidate, route) {
  const why = candidate.not_ready ? [", last, because ", foreign(candidate.not_ready)] : route.affinity === candidate.target ? ", answered this conversation before" : "";
  return el("li", {}, foreign(candidate.target), " score " + candidate.score, why);
}

// What the time of a turn went into, one phase after the other: {name, ms, kind}.
function phasesOf(turn) {
  const phases = [];
  let end = 0;
  const until = (name, at, kind) => {
    if (at > end) phases.push({ name, ms: at - end, kind });
    end = Math.max(end, at);
  };
  for (const attempt of turn.attempts || []) {
    until("reading and routing, or a wait", attempt.at_ms, "wait");
    if (attempt.failure) {
      until("asking " + attempt.endpoint + ": " + attempt.failure.code, attempt.at_ms + (attempt.ms || 0), "failed");
      if (attempt.wait_ms) until("waiting", attempt.at_ms + (attempt.ms || 0) + attempt.wait_ms, "wait");
    }
  }
  if (turn.first_ms !== null && turn.first_ms !== undefined) until("up to the first word", turn.first_ms, "first");
  until(turn.first_ms === null || turn.first_ms === undefined ? "without a word" : "the answer", turn.ms, "answer");
  return phases;
}

function phaseBar(turn) {
  const phases = phasesOf(turn);
  const whole = phases.reduce((sum, phase) => sum + phase.ms, 0);
  if (!whole) return [el("h3", {}, "Phases"), el("p", {}, "Less than a millisecond.")];
  let x = 0;
  const label = "Phases: " + phases.map((phase) => phase.name + " " + seconds(phase.ms)).join(", ");
  return [el("h3", {}, "Phases"),
    svg("svg", { class: "phases", viewBox: "0 0 640 16", preserveAspectRatio: "none", role: "img", "aria-label": label }, phases.map((phase) => {
      const width = (phase.ms * 640) / whole;
      const rect = svg("rect", { class: phase.kind, x, y: 0, width: Math.max(1, width - 1), height: 16 });
      x += width;
      return rect;
    })),
    el("ol", {}, phases.map((phase) => el("li", { class: "phase " + phase.kind }, foreign(phase.name), " " + seconds(phase.ms))))];
}

function bodyPart(title, kept, none) {
  const text = !kept ? el("p", { class: "quiet" }, none)
    : kept.text === null ? el("p", { class: "quiet" }, "It had " + number(kept.bytes) + " bytes, more than is kept.")
      : el("pre", { class: "body", tabindex: "0", "aria-label": title }, foreign(kept.text, true));
  const about = kept ? el("p", { class: "quiet" }, kept.protocol + ", " + number(kept.bytes) + " bytes" + (kept.text !== null && kept.cut ? ", the beginning" : "")
    + (kept.model ? ", model in the path: " : ""), kept.model ? foreign(kept.model) : null, kept.target ? [" to ", foreign(kept.target)] : null) : null;
  return el("section", {}, el("h4", {}, title), about, text);
}

async function showRequests(id, place) {
  fill(place, "Loading …");
  const kept = await ask("/api/v1/turns/" + encodeURIComponent(id) + "/requests");
  if (kept.missing) return fill(place, el("p", { class: "empty" }, kept.missing + "."));
  fill(place,
    el("p", { class: "quiet" }, "Bodies without keys; headers are not kept."),
    el("div", { class: "sides" },
      bodyPart("From the client", kept.client, "What the client sent is not kept."),
      bodyPart("To the provider", kept.upstream, "Nothing was sent to a provider.")),
    kept.may_replay ? await replayForm(id) : el("p", { class: "quiet" }, "It cannot be sent again: what the client sent is not kept whole."));
}

async function replayForm(id) {
  const models = await ask("/api/v1/models");
  const names = [...new Set(models.data.map((model) => model.endpoint + "/" + model.model).concat(models.routes.map((route) => route.name)))];
  const result = el("div", { role: "status" });
  const select = el("select", { id: "replay-target" }, names.map((name) => el("option", { value: name }, name)));
  const send = el("button", { type: "submit" }, "Send again");
  return el("form", {
    submit: async (event) => {
      event.preventDefault();
      send.disabled = true;
      fill(result, "Asking …");
      try {
        const answer = await ask("/api/v1/turns/" + encodeURIComponent(id) + "/replay", { target: select.value });
        fill(result,
          el("p", {}, answer.works ? "✓ answered in " + number(answer.ms) + " ms as turn " : "✗ status " + answer.status + ", turn ",
            button(answer.turn, () => openDrawer(answer.turn), { class: "link" }), answer.message ? [": ", foreign(answer.message)] : null),
          el("pre", { class: "body", tabindex: "0", "aria-label": "The answer" }, foreign(answer.answer, true)));
      } catch (error) {
        fill(result, "✗ ", foreign(error.message));
      }
      send.disabled = false;
    },
  }, el("h4", {}, "Send it to another target"),
  el("p", { class: "quiet" }, "A real turn, always the whole of it, which costs what it costs. No tool is run, and the client's own headers are not sent with it."),
  el("div", { class: "bar" }, el("label", { for: "replay-target" }, "Target"), select, send), result);
}

async function openDrawer(id) {
  const drawer = byId("drawer");
  const close = button("Close", () => drawer.close());
  fill(drawer, el("h2", { id: "drawer-heading" }, "Turn " + id), el("p", {}, "Loading …"), close);
  if (!drawer.open) drawer.showModal();
  try {
    const turn = await ask("/api/v1/turns/" + encodeURIComponent(id));
    const requests = el("div", {});
    const show = button("Show both requests", () => showRequests(turn.id, requests).catch((error) => fill(requests, "✗ ", foreign(error.message))));
    fill(drawer,
      el("h2", { id: "drawer-heading" }, "Turn " + turn.id),
      el("dl", { class: "facts" },
        line("State", foreign(stateText(turn))),
        line("Began", when(turn.begun_ms)),
        line("Client", foreign(turn.client || "–"), turn.session ? [", session ", foreign(turn.session)] : null),
        line("Asked", foreign(turn.asked || "–"), turn.protocol ? " by " + turn.protocol : null),
        line("Answered by", foreign(target(turn)), turn.account ? [" with ", foreign(turn.account)] : null),
        turn.failure ? line("Failed", el("strong", {}, turn.failure.code), " ", foreign(turn.failure.message, true)) : null,
        line("First word", turn.first_ms === null ? "–" : "after " + seconds(turn.first_ms)),
        line("Took", seconds(turn.ms)),
        line("Tokens", tokens(turn), turn.tokens.cached ? " (" + percent(turn.tokens.cached, turn.tokens.input) + " cached)" : null),
        line("Cost", turn.cost_usd === null ? "unpriced" : money(turn.cost_usd))),
      phaseBar(turn),
      turn.route ? [el("h3", {}, "Route ", foreign(turn.route.route), " (" + turn.route.strategy + ")"),
        el("ol", {}, turn.route.candidates.map((candidate) => candidateItem(candidate, turn.route)))] : "",
      (turn.attempts || []).length ? el("h3", {}, "Attempts") : "",
      (turn.attempts || []).length ? el("ol", {}, turn.attempts.map(attemptItem)) : "",
      (turn.notes || []).length ? el("h3", {}, "Changed, left out, mended") : "",
      (turn.notes || []).length ? el("ul", {}, turn.notes.map((note) => el("li", {}, foreign(note.text)))) : "",
      el("h3", {}, "Requests"), show, requests,
      el("p", {}, close));
    close.focus();
  } catch (error) {
    fill(drawer, el("h2", { id: "drawer-heading" }, "Turn " + id), el("p", {}, foreign(error.message)), close);
  }
}
