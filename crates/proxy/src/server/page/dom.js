// What all screens share: elements, numbers, times, requests. Everything that came from outside becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

function add(node, children) {
  for (const child of children.flat(3)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
  return node;
}

function fill(node, ...children) {
  node.replaceChildren();
  return add(node, children);
}

function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  return node;
}

function el(tag, attributes, ...children) {
  return add(set(document.createElement(tag), attributes || {}), children);
}

function svg(tag, attributes, ...children) {
  return add(set(document.createElementNS(SVG, tag), attributes || {}), children);
}

const MAX_TEXT = 600;

// Foreign text: isolated, so that it cannot turn its neighbours around, and not endless.
function foreign(text, whole) {
  const value = text === null || text === undefined ? "" : String(text);
  const cut = !whole && value.length > MAX_TEXT ? value.slice(0, MAX_TEXT) + " …" : value;
  return el("bdi", { class: "foreign" }, cut);
}

const integer = new Intl.NumberFormat("en-US");

function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? integer.format(value) : "–";
}

function counted(value, one) {
  return number(value) + " " + one + (value === 1 ? "" : "s");
}

function money(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "unpriced";
  return "$" + (value >= 100 ? value.toFixed(2) : value.toFixed(4));
}

function percent(part, whole) {
  return whole > 0 ? Math.round((part * 1000) / whole) / 10 + " %" : "0 %";
}

function seconds(ms) {
  if (typeof ms === "number" && ms < 1000) return Math.round(ms) + " ms";
  return typeof ms === "number" ? (ms / 1000).toFixed(ms < 10000 ? 1 : 0) + " s" : "–";
}

function span(s) {
  const whole = Math.max(0, Math.round(s));
  if (whole < 60) return whole + " s";
  if (whole < 3600) return Math.floor(whole / 60) + " min " + (whole % 60) + " s";
  if (whole < 86400) return Math.floor(whole / 3600) + " h " + Math.floor((whole % 3600) / 60) + " min";
  return Math.floor(whole / 86400) + " d " + Math.floor((whole % 86400) / 3600) + " h";
}

function when(ms) {
  return el("time", { datetime: new Date(ms).toISOString() }, new Date(ms).toLocaleString([], { hour12: false }));
}

// The proxy's clock may differ from the browser's: countdowns use the proxy's.
let clockOffset = 0;

function now() {
  return Date.now() + clockOffset;
}

const STATES = {
  reading: "reading",
  routing: "routing",
  connecting: "connecting",
  waiting: "waiting",
  first_word: "waiting for the first word",
  streaming: "streaming",
  asking_again: "asking again",
  over: "over",
};

function target(turn) {
  return turn.endpoint ? turn.endpoint + "/" + turn.model : turn.asked || "–";
}

function stateText(turn) {
  if (turn.finish) return turn.finish === "client_left" ? "the client left" : turn.finish;
  const words = STATES[turn.state] || turn.state;
  if (turn.state !== "waiting" || !turn.wait) return words;
  const left = turn.wait.until_ms ? " " + span((turn.wait.until_ms - now()) / 1000) + " more" : "";
  return words + left + ": " + turn.wait.why;
}

function tokens(turn) {
  const t = turn.tokens || {};
  if (t.input === null || t.input === undefined) return "–";
  return number(t.input) + " in, " + number(t.output || 0) + " out";
}

// A table with headings; each row is a list of cells, or {cells, ...attributes of the row}.
function table(caption, headings, rows) {
  const head = el("tr", {}, headings.map((h) => el("th", { scope: "col" }, h)));
  const body = el("tbody", {}, rows.map((row) => tableRow(headings, row)));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {}, el("caption", {}, caption), el("thead", {}, head), body));
}

function tableRow(headings, row) {
  const cells = Array.isArray(row) ? row : row.cells;
  return el("tr", Array.isArray(row) ? {} : row.attributes,
    cells.map((cell, place) => el("td", { "data-label": headings[place] || null }, cell)));
}

function empty(what, command) {
  return el("p", { class: "empty" }, what + " ", el("code", {}, command));
}

let csrf = null;
// What this proxy can be asked for.
let documents = [];

async function meet() {
  const session = await ask("/api/v1/session");
  csrf = session.csrf;
  documents = session.documents || [];
}

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, body) {
  const options = { headers: { accept: "application/json" }, credentials: "same-origin", cache: "no-store" };
  if (body !== undefined) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    options.headers["content-type"] = "application/json";
    if (csrf) options.headers["x-csrf-token"] = csrf;
  }
  const answer = await fetch(path, options);
  const text = await answer.text();
  let document = {};
  try {
    document = JSON.parse(text);
  } catch (_) {
    document = {};
  }
  if (!answer.ok) {
    const message = document.error && document.error.message ? document.error.message : "latimer answered " + answer.status;
    throw new Refused(answer.status, message);
  }
  return document;
}

function button(label, action, attributes) {
  return el("button", { type: "button", click: action, ...attributes }, label);
}
