// Accounts: which keys rest, who is logged in, and a login by a code that is typed on any device.

function loginPlace(row, reload) {
  const begun = row.begun;
  if (begun && begun.state === "waiting") {
    return el("article", { class: "card rest" },
      el("h3", {}, row.login),
      el("p", {}, "Open this address on any device: ", el("a", { href: safeAddress(begun.url), rel: "noreferrer noopener", target: "_blank" }, begun.url)),
      begun.code ? el("p", {}, "and type this code: ", el("strong", { class: "code" }, begun.code)) : el("p", {}, "and say yes there."),
      el("p", { class: "quiet" }, "Waiting for " + span(begun.until - now() / 1000) + " more."));
  }
  const result = el("span", { role: "status" }, !begun ? "" : begun.state === "done" ? ["✓ logged in ", foreign(begun.account)] : ["✗ ", foreign(begun.why)]);
  const begin = button("Log in", async () => {
    begin.disabled = true;
    fill(result, " Asking …");
    try {
      await ask("/api/v1/accounts/" + row.login + "/login", {});
      reload();
    } catch (error) {
      fill(result, " ✗ ", foreign(error.message));
      begin.disabled = false;
    }
  }, { "aria-label": "Log in to " + row.login });
  return el("p", {}, el("strong", {}, row.login), " ", row.from_page ? begin : ["in a terminal: ", el("code", {}, "latimer login " + row.login)], " ", result);
}

// An address from elsewhere leads only to the web.
function safeAddress(text) {
  return /^https?:\/\//.test(text) ? text : null;
}

screens.accounts = {
  async render(place) {
    this.place = place;
    const [document, quota] = await Promise.all([ask("/api/v1/accounts"), quotas()]);
    const reload = () => this.render(place).catch(shown);
    this.waits = document.logins.some((row) => row.begun && row.begun.state === "waiting");
    const members = document.endpoints.flatMap((endpoint) => endpoint.members.map((member) => [
      foreign(endpoint.endpoint), foreign(member.id),
      member.rate_limited ? "! rests " + span(member.resets_in) + " more" : "✓ ready"]));
    fill(place,
      el("h2", {}, "Keys and accounts in use"),
      members.length ? table("Keys and accounts in use", ["Endpoint", "Key or account", "State"], members)
        : empty("No endpoint has a key or an account. Log in with", "latimer login google"),
      quota && quota.data.some((account) => account.windows.length)
        ? [el("h2", {}, "Windows"), quota.data.filter((account) => account.windows.length).map((account) => [
          el("h3", {}, foreign(account.endpoint), " ", foreign(account.account)), el("ul", { class: "plain" }, account.windows.map(quotaItem))])] : "",
      el("h2", {}, "Logins"),
      document.data.length
        ? table("Logins", ["Login", "Account", "State", "Token ends", "From"], document.data.map((account) => [
          account.login, foreign(account.id), { ok: "✓ ok", expired: "is refreshed at its next use", needs_login: "✗ log in again: latimer login " + account.login }[account.state] || account.state,
          account.expires_at ? when(account.expires_at * 1000) : "no end known", foreign(account.source)]))
        : empty("Nobody is logged in. Log in with", "latimer login google"),
      document.problems.length ? el("ul", { class: "problems" }, document.problems.map((text) => el("li", {}, foreign(text)))) : "",
      el("h2", {}, "Log in"), document.logins.map((row) => loginPlace(row, reload)));
  },
  always: true,
  tick() {
    if (this.waits && now() - (this.asked || 0) > 2000) {
      this.asked = now();
      this.render(this.place).catch(shown);
    }
  },
};
