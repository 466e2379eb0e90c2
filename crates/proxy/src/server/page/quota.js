// What is left of every allowance: a bar, the number, when it is back, whether it lasts until then, and whether that is old.

// What an older proxy does not know is not asked for.
async function quotas() {
  if (!documents.includes("quota")) return null;
  try {
    return await ask("/api/v1/quota");
  } catch (_) {
    return null;
  }
}

function amount(value, unit) {
  if (typeof value !== "number") return "";
  return unit === "USD" ? "$" + value.toFixed(2) : number(Math.round(value)) + (unit ? " " + unit : "");
}

function quotaItem(quota) {
  const left = quota.remaining_percent;
  const isKnown = typeof left === "number";
  const text = [isKnown ? Math.round(left) + " % left" : "left: " + (amount(quota.remaining, quota.unit) || "not known")];
  if (typeof quota.remaining === "number" && isKnown) text.push(amount(quota.remaining, quota.unit) + (typeof quota.limit === "number" ? " of " + amount(quota.limit, quota.unit) : ""));
  if (quota.resets_at) text.push(quota.resets_at * 1000 > now() ? "back in " + span(quota.resets_at - now() / 1000) : "back since a while");
  if (quota.runs_out_at) text.push("at this pace it runs out in " + span(quota.runs_out_at - now() / 1000));
  const label = quota.name + (quota.model ? " of " + quota.model : "");
  return el("li", { class: quota.stale ? "stale" : null }, foreign(label), ": ",
    isKnown ? el("meter", { min: "0", max: "100", low: "10", optimum: "100", value: String(Math.max(0, Math.min(100, left))), "aria-label": label + ", share that is left" }) : null,
    " " + text.join(", "), quota.stale ? el("strong", {}, " stale: said " + span(now() / 1000 - quota.seen_at) + " ago") : null);
}

// The windows of an endpoint's keys and accounts.
function quotaList(report, endpoint) {
  const accounts = report ? report.data.filter((account) => account.endpoint === endpoint && account.windows.length) : [];
  if (!accounts.length) return null;
  return [el("h3", {}, "Quota"), accounts.map((account) => [el("p", {}, foreign(account.account)), el("ul", { class: "plain" }, account.windows.map(quotaItem))])];
}
