// SPDX-License-Identifier: MIT
/// What fills the live page (watch_page.hpp), in the viewer's browser; watch_drawing.hpp draws its
/// pictures.
#pragma once

namespace gossamer::observe {

/// Shows /events. All that comes from elsewhere is put into the page as text, never as markup.
inline constexpr const char* watch_script = R"JS("use strict";
const $ = id => document.getElementById(id);
const make = (tag, text, kind) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
};
const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };
const color = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name);
const gone = new Set(["left", "lost", "crashed", "failed", "gone"]);
const bad = new Set(["lost", "crashed", "failed", "suspected", "not connected"]);

// Numbers in few characters.
function short(n) {
  if (n === null || n === undefined || !isFinite(n)) return "–";
  const size = Math.abs(n);
  for (const [unit, word] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= 1e4 && size >= 0.9995 * unit) return (n / unit).toPrecision(3) + " " + word;
  }
  return Number.isInteger(n) ? String(n) : size >= 1e-3 ? String(+n.toPrecision(4))
    : n === 0 ? "0" : n.toExponential(1);
}
function clock(s) {
  if (s === undefined) return "–";
  const two = n => String(Math.floor(n) % 60).padStart(2, "0");
  return s < 60 ? s.toFixed(1) + " s"
    : (s >= 3600 ? Math.floor(s / 3600) + ":" + two(s / 60) : Math.floor(s / 60)) + ":" + two(s);
}
const ago = s => s === undefined ? "–" : s < 1 ? "now" : clock(s);

let now = null;         // the last state,
let before = null;      // the one before it,
let seenAt = 0;         // when it came
let chosen = null;      // a node's number
let sorted = ["id", 1];
const lanes = new Map();  // node -> the last cells: {parts: [compute, exchange, wait]} or {speed}
const cells = 120;

const columns = [
  ["id", "node", n => String(n.id)], ["state", "state", n => n.state ?? "–"],
  ["age", "age", n => gone.has(n.state) ? "–" : ago(n.age)],
  ["steps", "steps", n => short(n.steps)],
  ["loss", "loss", n => short(n.loss)], ["weight", "weight", n => short(n.weight)],
  ["sent", "sent", n => short(n.sent), 1], ["merged", "merged", n => short(n.merged), 1],
  ["returned", "returned", n => short(n.returned), 1], ["bytes", "bytes", n => short(n.bytes), 1],
  ["round_trip", "round trip", n => n.round_trip ? short(1e3 * n.round_trip) + " ms" : "–", 1],
];

// The nodes, with what follows from two states: recent loss, steps and messages.
function arrive(state) {
  state.nodes ??= [];
  state.at = performance.now();
  const old = new Map((now?.nodes ?? []).map(n => [n.id, n]));
  for (const node of state.nodes) {
    const last = old.get(node.id);
    const steps = last ? node.steps - last.steps : 0;
    node.loss = steps > 0 ? (node.loss_sum - last.loss_sum) / steps
      : last?.loss ?? (node.steps > 0 ? node.loss_sum / node.steps : undefined);
    if (node.here) node.age = state.age;
    const lane = lanes.get(node.id) ?? lanes.set(node.id, []).get(node.id);
    const cell = { steps, stale: gone.has(node.state) || (!node.here && node.age > 3) };
    if (node.spent && last?.spent) {
      const parts = node.spent.map((s, i) => Math.max(0, s - last.spent[i]));
      const sum = parts.reduce((a, b) => a + b, 0);
      if (sum > 0) cell.parts = parts.map(p => p / sum);
    }
    cell.merged = last ? node.merged - last.merged : 0;
    lane.push(cell);
    if (lane.length > cells) lane.shift();
  }
  state.nodes.sort((a, b) => a.id - b.id);
  before = now;
  now = state;
  seenAt = performance.now();
  schedule();
}

// Speed over the last states, smoothed.
const speeds = {};
function speed(name) {
  const a = before?.totals?.[name], b = now.totals?.[name], t = (now.at - (before?.at ?? 0)) / 1e3;
  if (a !== undefined && b >= a && t > 0) {
    speeds[name] = 0.8 * (speeds[name] ?? (b - a) / t) + 0.2 * (b - a) / t;
  }
  return now.running ? speeds[name] : undefined;
}

function tiles() {
  const all = now.totals ?? {}, live = now.nodes.filter(n => !gone.has(n.state)).length;
  const loss = now.curves.train_loss?.at(-1)?.[1];
  const values = [["nodes", live + (now.nodes.length > live ? " of " + now.nodes.length : "")],
    [now.virtual ? "virtual time" : "time", clock(now.elapsed)], ["steps", short(all.steps)],
    ["samples", short(all.samples)], ["samples / s", short(speed("samples"))],
    ["loss", short(loss)],
    ["messages", short(all.sent)], ["messages / s", short(speed("sent"))],
    ["bytes / s", short(speed("bytes"))], ["returned", short(all.returned)],
    ["consensus error", now.consensus
      ? "~ " + short(now.consensus.error) + " ± " + short(now.consensus.standard_error) : "–"],
    ["age of merged", all.merged ? short(+all.merge_age.toPrecision(2)) + " steps" : "–"]];
  const list = $("totals");
  while (list.children.length < values.length) {
    const tile = make("div");
    tile.append(make("dt"), make("dd"));
    list.append(tile);
  }
  values.forEach(([name, value], i) => {
    put(list.children[i].firstChild, name);
    put(list.children[i].lastChild, String(value));
  });
}

function status() {
  const box = $("status"), silent = (performance.now() - seenAt) / 1e3;
  let word = "connecting", kind = "";
  if (now) {
    if (silent > 3) [word, kind] = ["no connection, seen " + clock(silent) + " ago", "broken"];
    else if (!now.running) word = now.totals ? "not training" : "not begun";
    else if (now.age > 5) word = "silent for " + clock(now.age);
    else [word, kind] = ["live", "live"];
  }
  put(box, word);
  box.className = kind;
}

let shownEvents = "";
function events() {
  const key = JSON.stringify(now.events);
  if (key === shownEvents) return;
  shownEvents = key;
  const list = now.events.slice().reverse().map(([time, node, what]) => {
    const kind = bad.has(what) ? "bad" : what === "joined" || what === "returned" ? "good" : "";
    const row = make("li");
    row.append(make("time", clock(time)), make("span", `node ${node} ${what}`, kind));
    return row;
  });
  $("events").replaceChildren(...list.length ? list : [make("li", "Nothing has happened yet.")]);
}

const rows = new Map();
function table() {
  const head = $("nodes").tHead, body = $("nodes").tBodies[0];
  if (!head.rows.length) {
    const line = head.insertRow();
    for (const [name, title, , less] of columns) {
      const cell = make("th", undefined, less ? "less" : ""), button = make("button", title);
      cell.scope = "col";
      button.onclick = () => { sorted = [name, sorted[0] === name ? -sorted[1] : 1]; schedule(); };
      cell.append(button);
      line.append(cell);
    }
  }
  columns.forEach(([name], i) => {
    const way = sorted[0] === name ? (sorted[1] > 0 ? "ascending" : "descending") : "none";
    if (head.rows[0].cells[i].ariaSort !== way) head.rows[0].cells[i].ariaSort = way;
  });
  const [by, way] = sorted, key = n => n[by] ?? (by === "state" ? "" : -1);
  const list = now.nodes.slice().sort((a, b) => {
    const x = key(a), y = key(b);
    return way * (x < y ? -1 : x > y ? 1 : 0) || a.id - b.id;
  });
  list.forEach((node, place) => {
    let row = rows.get(node.id);
    if (!row) {
      row = make("tr");
      row.append(...columns.map(column => make("td", undefined, column[3] ? "less" : "")));
      row.onclick = () => choose(node.id);
      row.onkeydown = e => {
        if (e.key === "Enter" || e.key === " ") { e.preventDefault(); choose(node.id); }
        const next = { ArrowDown: row.nextSibling, ArrowUp: row.previousSibling }[e.key];
        if (next) { e.preventDefault(); next.focus(); }
      };
      rows.set(node.id, row);
    }
    columns.forEach(([, , text], i) => put(row.cells[i], text(node)));
    row.cells[1].className = bad.has(node.state) ? "bad" : "";
    row.className = node.id === chosen ? "chosen" : "";
    row.tabIndex = place === 0 ? 0 : -1;
    if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] ?? null);
  });
  for (const [id, row] of rows) if (!list.some(n => n.id === id)) { row.remove(); rows.delete(id); }
}

function about() {
  if ($("about").children.length) return;
  for (const [name, value] of [...now.about, ["version", now.version]]) {
    const pair = make("div");
    pair.append(make("dt", name), make("dd", value));
    $("about").append(pair);
  }
}

function choose(id) { chosen = chosen === id ? null : id; schedule(); }
$("graph").onclick = e => {
  const near = places.map(p => [Math.hypot(p.x - e.offsetX, p.y - e.offsetY), p.node.id])
    .sort((a, b) => a[0] - b[0])[0];
  choose(near && near[0] < 24 ? near[1] : chosen);
};
$("graph").onkeydown = e => {
  const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
  if (e.key === "Escape") choose(chosen);
  if (!way || !places.length) return;
  e.preventDefault();
  const at = places.findIndex(p => p.node.id === chosen), n = places.length;
  choose(places[at < 0 ? 0 : (at + way + n) % n].node.id);
};

let due = false;
function schedule() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    status();
    if (!now) return;
    const begin = performance.now();
    for (const draw of [tiles, graph, curves, drawLanes, events, table, about]) draw();
    document.documentElement.dataset.drawn = (performance.now() - begin).toFixed(1);
  });
}
addEventListener("resize", schedule);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", schedule);
setInterval(status, 1000);

// The token stands behind the # of the address, which is sent to nobody.
let token = location.hash.length > 1 ? location.hash.slice(1) : sessionStorage.getItem("token");
if (location.hash.length > 1) {
  sessionStorage.setItem("token", token);
  history.replaceState(null, "", location.pathname);
}
let wake = null;
$("ask").onsubmit = e => {
  e.preventDefault();
  token = $("token").value;
  sessionStorage.setItem("token", token);
  $("ask").hidden = true;
  wake?.();
};
async function follow() {
  const headers = token ? { Authorization: "Bearer " + token } : {};
  const answer = await fetch("events", { headers });
  if (answer.status === 401) {
    $("ask").hidden = false;
    $("token").focus();
    await new Promise(resolve => { wake = resolve; });
    return;
  }
  if (!answer.ok) throw new Error(answer.statusText);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (text + value).split("\n\n");
    text = parts.pop();
    const last = parts.filter(p => p.startsWith("data: ")).pop();
    if (last) arrive(JSON.parse(last.slice(6)));
  }
}
(async () => {
  for (;;) {
    try { await follow(); } catch { status(); }
    await new Promise(resolve => setTimeout(resolve, 2000));
  }
})();
)JS";

}  // namespace gossamer::observe
