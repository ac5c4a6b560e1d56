// SPDX-License-Identifier: MIT
/// The pictures of the live page: the graph, the lanes and the curves, on canvases.
#pragma once

namespace gossamer::observe {

/// Stands behind watch_script, whose names it uses.
inline constexpr const char* watch_drawing = R"JS(
// A canvas in the resolution of the screen; the context, width and height in CSS pixels.
function canvas(element, height) {
  if (height) element.style.height = height + "px";
  const box = element.getBoundingClientRect(), dots = devicePixelRatio || 1;
  const w = Math.round(box.width), h = Math.round(box.height);
  if (element.width !== w * dots || element.height !== h * dots) {
    element.width = w * dots;
    element.height = h * dots;
  }
  const c = element.getContext("2d");
  c.setTransform(dots, 0, 0, dots, 0, 0);
  c.clearRect(0, 0, w, h);
  c.font = "12px system-ui, 'DejaVu Sans', sans-serif";
  return [c, w, h];
}

// A node's number; of those that newcomers draw, which are long, the end.
const tag = id => id < 1e5 ? String(id) : "…" + String(id).slice(-4);

let places = [];
function graph() {
  const [c, w, h] = canvas($("graph"));
  const n = now.nodes.length, r = Math.min(w, h) / 2 - 40;
  const most = Math.max(...now.nodes.map(one => one.weight ?? 0), 1e-9);
  const big = Math.max(3, Math.min(20, 2 * r / Math.max(n, 1)));
  places = now.nodes.map((node, i) => {
    const turn = 2 * Math.PI * i / n - Math.PI / 2;
    return { node, turn, x: w / 2 + r * Math.cos(turn), y: h / 2 + r * Math.sin(turn),
      r: Math.max(2.5, big * Math.sqrt((node.weight ?? 0) / most)) };
  });
  const at = new Map(places.map(p => [p.node.id, p]));
  const line = (a, b, width, ink, alpha) => {
    c.globalAlpha = alpha; c.strokeStyle = ink; c.lineWidth = width;
    c.beginPath(); c.moveTo(a.x, a.y);  // bent, so that both directions are seen
    c.quadraticCurveTo((a.x + b.x) / 2 + (b.y - a.y) * 0.08 + (w / 2 - (a.x + b.x) / 2) * 0.2,
      (a.y + b.y) / 2 - (b.x - a.x) * 0.08 + (h / 2 - (a.y + b.y) / 2) * 0.2, b.x, b.y);
    c.stroke();
  };
  const own = places.find(p => p.node.here);
  for (const p of places) {
    if (own && !p.node.here && p.node.state === "connected") line(own, p, 1, color("line"), 1);
  }
  const top = Math.max(1, ...now.edges.map(e => e[2]));
  const ink = color("exchange"), mark = color("chosen");
  for (const [from, to, messages] of now.edges) {
    const a = at.get(from), b = at.get(to), is = from === chosen || to === chosen;
    if (!a || !b) continue;
    line(a, b, 0.6 + 2.6 * messages / top, is ? mark : ink,
      is ? 1 : (chosen === null ? 0.75 : 0.25) * Math.min(1, 60 / now.edges.length + 0.03));
  }
  c.globalAlpha = 1;
  const compute = color("compute"), peer = color("peer"), wrong = color("bad"),
    panel = color("panel");
  for (const p of places) {
    const s = p.node.state;
    c.beginPath(); c.arc(p.x, p.y, p.r, 0, 7);
    c.fillStyle = panel;
    c.fill();
    c.fillStyle = p.node.here ? compute : peer;
    c.globalAlpha = !p.node.here && p.node.age > 3 ? 0.45 : 1;
    if (!gone.has(s)) c.fill();
    c.globalAlpha = 1;
    if (gone.has(s) || bad.has(s)) { c.strokeStyle = wrong; c.lineWidth = 1.5; c.stroke(); }
    if (p.node.id === chosen) {
      c.beginPath(); c.arc(p.x, p.y, p.r + 4, 0, 7);
      c.strokeStyle = mark; c.lineWidth = 3; c.stroke();
    }
    if (n <= 40 || p.node.id === chosen || p.node.id % Math.ceil(n / 20) === 0) {
      c.fillStyle = gone.has(s) ? wrong : color("ink");
      c.textAlign = "center"; c.textBaseline = "middle";
      const out = p.r + 12;
      c.fillText(tag(p.node.id), p.x + out * Math.cos(p.turn), p.y + out * Math.sin(p.turn));
    }
  }
  const one = at.get(chosen)?.node;
  put($("chosen"), one ? `node ${one.id}: ${one.state ?? "–"}, weight ${short(one.weight)}, `
    + `loss ${short(one.loss)}, ${short(one.bytes)} bytes sent`
    + (one.here ? ", in this process" : `, at ${one.address}, heard of ${ago(one.age)}`
      + (one.age >= 1 ? " ago" : "")
      + `, ${short(one.to_it)} B to it, ${short(one.from_it)} B from it`)
    : "Size: weight. Lines: the last " + now.edges.reduce((a, e) => a + e[2], 0)
      + " messages from here. Red: out of reach or gone.");
}

function drawLanes() {
  const n = now.nodes.length, row = n <= 24 ? 18 : n <= 60 ? 12 : 6, label = 48;
  const [c, w] = canvas($("lanes"), Math.max(1, n * row));
  const wide = (w - label) / cells, inks = ["compute", "exchange", "wait", "wait"].map(color);
  const soft = color("soft"), peer = color("peer");
  const fastest = Math.max(1, ...[...lanes.values()].flatMap(l => l.map(cell => cell.steps)));
  c.textAlign = "right"; c.textBaseline = "middle";
  if (row < 12) c.font = "9px sans-serif";
  now.nodes.forEach((node, i) => {
    const y = i * row, h = row - (row > 8 ? 3 : 1), lane = lanes.get(node.id);
    c.fillStyle = node.id === chosen ? color("chosen") : soft;
    if (row >= 12 || i % 2 === 0) c.fillText(tag(node.id), label - 6, y + h / 2 + 1);
    lane.forEach((cell, k) => {
      const x = label + (cells - lane.length + k) * wide;
      if (cell.stale) {
        c.fillStyle = soft;
        if (k % 3 === 0) c.fillRect(x, y + h / 2, wide, 1);
        return;
      }
      if (!cell.parts) {
        c.fillStyle = peer;
        const near = lane.slice(Math.max(0, k - 1), k + 2);  // news comes in beats
        const mean = near.reduce((sum, one) => sum + one.steps, 0) / near.length;
        const tall = Math.max(mean > 0 ? 1 : 0, h * mean / fastest);
        if (!node.here) c.fillRect(x, y + h - tall, wide + 0.5, tall);
        return;
      }
      let from = y + h;
      cell.parts.slice(0, 3).forEach((part, p) => {
        c.fillStyle = inks[p];
        c.fillRect(x, from - h * part, wide + 0.5, h * part);
        from -= h * part;
      });
    });
  });
}

const names = { train_loss: "loss", test_loss: "test loss", consensus_error: "consensus error",
  consensus_estimate: "consensus error, estimated", test_accuracy: "test accuracy" };
const charts = new Map();
function curves() {
  const order = Object.keys(names);
  const found = Object.keys(now.curves).filter(name => now.curves[name].length > 0)
    .sort((a, b) => (order.indexOf(a) + 99) % 99 - (order.indexOf(b) + 99) % 99).slice(0, 8);
  for (const name of found) {
    if (!charts.has(name)) {
      const figure = make("figure"), caption = make("figcaption"), area = make("canvas");
      caption.append(make("b", names[name] ?? name.replaceAll("_", " ")), make("span"));
      figure.append(caption, area);
      area.setAttribute("role", "img");
      area.addEventListener("pointermove", e => { area.over = e.offsetX; schedule(); });
      area.addEventListener("pointerleave", () => { area.over = undefined; schedule(); });
      charts.set(name, figure);
    }
    $("curves").append(charts.get(name));
    // The clock of this process has stopped where others train on: the last point of each time.
    chart(charts.get(name), now.curves[name].filter((p, i, all) =>
      p[1] !== null && p[0] !== all[i + 1]?.[0]));
  }
}
function chart(figure, points) {
  const area = figure.lastChild, [c, w, h] = canvas(area), left = 46, low = h - 18;
  if (points.length === 0) return;
  const ys = points.map(p => p[1]), y0 = Math.min(...ys), y1 = Math.max(...ys);
  const x0 = points[0][0], x1 = points.at(-1)[0];
  const sx = x => left + (w - left - 6) * (x1 > x0 ? (x - x0) / (x1 - x0) : 0.5);
  const sy = y => y1 > y0 ? low - (low - 8) * (y - y0) / (y1 - y0) : (low + 8) / 2;
  c.strokeStyle = color("line"); c.lineWidth = 1;
  for (const y of y1 > y0 ? [y0, (y0 + y1) / 2, y1] : [y0]) {
    c.beginPath(); c.moveTo(left, sy(y)); c.lineTo(w, sy(y)); c.stroke();
    c.fillStyle = color("soft"); c.textAlign = "right"; c.textBaseline = "middle";
    c.fillText(short(+y.toPrecision(3)), left - 5, sy(y));
  }
  c.textBaseline = "alphabetic";
  c.textAlign = "left"; c.fillText(clock(x0), left, h - 3);
  c.textAlign = "right"; if (x1 > x0) c.fillText(clock(x1), w, h - 3);
  c.strokeStyle = c.fillStyle = color("compute"); c.lineWidth = 1.8;
  c.lineJoin = "round";
  c.beginPath();
  for (const [x, y] of points) c.lineTo(sx(x), sy(y));
  c.stroke();
  let shown = points.at(-1);
  if (area.over !== undefined) {
    shown = points.reduce((a, b) => Math.abs(sx(b[0]) - area.over) < Math.abs(sx(a[0]) - area.over)
      ? b : a);
  }
  c.beginPath(); c.arc(sx(shown[0]), sy(shown[1]), 3.2, 0, 7); c.fill();
  put(figure.firstChild.lastChild, short(shown[1])
    + (area.over === undefined ? "" : " at " + clock(shown[0])));
  area.setAttribute("aria-label", `from ${short(points[0][1])} to ${short(points.at(-1)[1])}, `
    + `between ${short(y0)} and ${short(y1)}`);
}
)JS";

}  // namespace gossamer::observe
