// Settings: the file, what would change in it, and the file before.

// The lines that differ: the shortest way from one text to the other, for texts of a few hundred lines.
function difference(before, after) {
  const [a, b] = [before.split("\n"), after.split("\n")];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const [x, y] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  if (x.length * y.length > 4e6) return x.map((text) => ["-", text]).concat(y.map((text) => ["+", text]));
  const best = Array.from({ length: x.length + 1 }, () => new Uint16Array(y.length + 1));
  for (let i = x.length - 1; i >= 0; i--) {
    for (let j = y.length - 1; j >= 0; j--) best[i][j] = x[i] === y[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
  }
  const lines = [];
  let [i, j] = [0, 0];
  while (i < x.length || j < y.length) {
    if (i < x.length && j < y.length && x[i] === y[j]) { i++; j++; }
    else if (j >= y.length || (i < x.length && best[i + 1][j] >= best[i][j + 1])) lines.push(["-", x[i], start + ++i]);
    else lines.push(["+", y[j], start + ++j]);
  }
  return lines;
}

function differenceList(lines) {
  if (!lines.length) return el("p", { class: "quiet" }, "Nothing differs from the file.");
  return el("ul", { class: "diff", "aria-label": "What changes" }, lines.map(([sign, text, line]) =>
    el("li", { class: sign === "+" ? "added" : "removed" }, el("span", { class: "quiet" }, (sign === "+" ? "added " : "removed ") + (line || "") + ": "), foreign(text))));
}

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
    const changes = el("div", {});
    const save = el("button", { type: "submit" }, "Save");
    const attempt = async (action) => {
      save.disabled = true;
      try {
        await action();
      } catch (error) {
        fill(result, "✗ ", foreign(error.message, true));
      }
      save.disabled = false;
    };
    const taken = (saved, what) => {
      Object.assign(file, saved);
      text.value = saved.text;
      fill(changes);
      fill(result, "✓ " + what + "; turns that begin now use it");
      back.hidden = !saved.may_restore;
    };
    const back = button("Restore the file before", () => attempt(async () => taken(await ask("/api/v1/config/restore", {}), "the file before the last save is back")),
      { hidden: !file.may_restore });
    const form = el("form", {
      submit: (event) => {
        event.preventDefault();
        attempt(async () => taken(await ask("/api/v1/config", { text: text.value, version: file.version }), "saved"));
      },
    }, el("label", { for: "toml" }, "The file ", el("code", {}, foreign(file.path))), text,
    el("p", { class: "quiet" }, "Keys that stand in the file are shown as ", el("code", {}, file.mask), " and stay as they are."),
    el("div", { class: "bar" }, save,
      button("Check and show changes", () => attempt(async () => {
        fill(changes, differenceList(difference(file.text, text.value)));
        const checked = await ask("/api/v1/config/check", { text: text.value, version: file.version });
        fill(result, "✓ it is a configuration", checked.warnings.length ? [": ", foreign(checked.warnings.join("; "))] : "");
      })),
      button("Read again", () => this.render(place).catch(shown)), back));
    const keep = el("input", { type: "checkbox", id: "keep-requests", checked: file.keep_requests });
    keep.addEventListener("change", () => attempt(async () => {
      await ask("/api/v1/config/keep_requests", { keep: keep.checked });
      await this.render(place);
    }));
    const kept = el("p", {}, keep, " ", el("label", { for: "keep-requests" },
      "Keep what the last 64 turns were asked and sent, in memory only, for Requests to show and send again"));
    fill(place, kept, form, result, changes, file.refused ? el("p", {}, "✗ The file on the disk is not in use: ", foreign(file.refused, true)) : "");
  },
};
