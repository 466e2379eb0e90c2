// Usage: sums, shares, bars, the week as a heat map, and the same as CSV and JSON.

const GROUPS = ["model", "endpoint", "account", "client", "session", "day", "hour", "failure"];
const WINDOWS = { "24h": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days", "90d": "Last 90 days" };
const USAGE = ["Turns", "Share", "Failed", "Input", "Cached", "Output", "p50", "p95", "Cost"];
const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

function usageCells(line, total) {
  return [
    foreign(line.name), number(line.turns), percent(line.turns, total.turns), number(line.failed), number(line.input), percent(line.cached, line.input),
    number(line.output), seconds(line.p50_ms), seconds(line.p95_ms), money(line.cost_usd),
  ];
}

// Bars beside their numbers: the table below says the same in text.
function bars(lines) {
  const shown = lines.slice(-31);
  const most = Math.max(1, ...shown.map((line) => line.turns));
  const width = Math.min(48, 640 / Math.max(1, shown.length));
  const label = "Turns for each day: " + shown.map((line) => line.name + " " + line.turns).join(", ");
  return svg("svg", { class: "bars", viewBox: "0 0 640 120", role: "img", "aria-label": label },
    shown.map((line, place) => {
      const height = (line.turns * 110) / most;
      return svg("rect", { x: place * width + 1, y: 120 - height, width: Math.max(1, width - 2), height },
        svg("title", {}, line.name + ": " + line.turns + " turns, " + money(line.cost_usd)));
    }));
}

// Who has how much of it, as one bar; the table below has the numbers.
function shares(lines, total) {
  if (!total.turns || lines.length < 2) return "";
  const sorted = lines.slice().sort((a, b) => b.turns - a.turns);
  const shown = sorted.slice(0, 6);
  const rest = sorted.slice(6).reduce((sum, line) => sum + line.turns, 0);
  if (rest) shown.push({ name: "others", turns: rest });
  let x = 0;
  const label = "Shares of the turns: " + shown.map((line) => line.name + " " + percent(line.turns, total.turns)).join(", ");
  return [svg("svg", { class: "shares", viewBox: "0 0 640 20", preserveAspectRatio: "none", role: "img", "aria-label": label }, shown.map((line, place) => {
    const width = (line.turns * 640) / total.turns;
    const rect = svg("rect", { class: "share" + (place % 7), x, y: 0, width: Math.max(1, width - 1), height: 20 }, svg("title", {}, line.name));
    x += width;
    return rect;
  })), el("ul", { class: "legend" }, shown.map((line, place) => el("li", {},
    el("span", { class: "key share" + (place % 7), "aria-hidden": "true" }), foreign(line.name), " " + percent(line.turns, total.turns))))];
}

// Turns by hour and weekday. Each cell has its number; the colour only repeats it.
function heatMap(hours) {
  const cells = Array.from({ length: 24 }, () => new Array(7).fill(0));
  for (const line of hours) {
    const [, year, month, day, hour] = /^(\d+)-(\d+)-(\d+)[ T](\d+)/.exec(line.name) || [];
    if (year === undefined) continue;
    cells[Number(hour)][(new Date(Date.UTC(year, month - 1, day)).getUTCDay() + 6) % 7] += line.turns;
  }
  const most = Math.max(1, ...cells.flat());
  const cell = (turns) => el("td", { class: "heat" + (turns ? Math.max(1, Math.ceil((turns * 4) / most)) : 0) }, turns ? number(turns) : el("span", { class: "quiet" }, "0"));
  const row = (days, hour) => el("tr", {}, el("th", { scope: "row" }, String(hour).padStart(2, "0")), days.map(cell));
  return el("table", { class: "heat" },
    el("caption", {}, "Turns by hour and weekday (local time); the busiest hour had " + number(Math.max(...cells.flat()))),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Hour"), DAYS.map((day) => el("th", { scope: "col" }, day)))),
    el("tbody", {}, cells.map(row)));
}

// A spreadsheet must not take a name for a formula.
function csvCell(value) {
  const text = value === null || value === undefined ? "" : String(value).replace(/"/g, '""');
  return '"' + (typeof value === "string" && /^[\s]*[=+\-@\t\r]/.test(text) ? "'" : "") + text + '"';
}

function download(name, kind, text) {
  const link = el("a", { download: name, href: URL.createObjectURL(new Blob([text], { type: kind })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
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
    const sums = (group) => ask("/api/v1/usage?" + new URLSearchParams({ by: group, since: this.since }));
    const [report, days, hours] = await Promise.all([sums(this.by), sums("day"), sums("hour")]);
    const again = (id) => this.render(place).then(() => byId(id) && byId(id).focus()).catch(shown);
    const lines = report.lines;
    const fields = ["name", "turns", "failed", "input", "cached", "output", "reasoning", "p50_ms", "p95_ms", "cost_usd", "unpriced"];
    const csv = [fields.map(csvCell).join(",")].concat(lines.map((line) => fields.map((f) => csvCell(line[f])).join(","))).join("\r\n");
    const isBoth = this.by === "day" || this.by === "hour";
    fill(place,
      el("div", { class: "bar" },
        choice("by", "By", by, this.by, (value) => { this.by = value; again("by"); }),
        choice("since", "Time", WINDOWS, this.since, (value) => { this.since = value; again("since"); }),
        button("CSV", () => download("usage.csv", "text/csv", csv)),
        button("JSON", () => download("usage.json", "application/json", JSON.stringify(report, null, 2)))),
      kpis(report.total),
      el("h2", {}, "By " + this.by),
      isBoth ? "" : shares(lines, report.total),
      lines.length
        ? table("Usage by " + this.by, [this.by].concat(USAGE), lines.concat([report.total]).map((line) => usageCells(line, report.total)))
        : empty("No turn in this time. Begin one with", "latimer launch codex"),
      el("h2", {}, "By day (local time)"),
      days.lines.length ? bars(days.lines) : "",
      days.lines.length ? table("Turns for each day", ["Day", "Turns", "Input", "Output", "Cost"],
        days.lines.slice().reverse().map((line) => [foreign(line.name), number(line.turns), number(line.input), number(line.output), money(line.cost_usd)])) : "",
      hours.lines.length ? [el("h2", {}, "By hour and weekday"), heatMap(hours.lines)] : "");
  },
};
