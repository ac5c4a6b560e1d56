// SPDX-License-Identifier: MIT
/// The live page: its text and its style. What fills it is in watch_script.hpp.
#pragma once

namespace gossamer::observe {

/// HTML. It loads watch.css and watch.js, and shows nothing of a run by itself.
inline constexpr const char* watch_page = R"HTML(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Gossamer</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="watch.css">
<script src="watch.js" defer></script>
</head>
<body>
<a class="skip" href="#nodes">To the table of nodes</a>
<header>
  <h1>Gossamer</h1>
  <p id="status" role="status">connecting</p>
  <dl id="totals" class="tiles"></dl>
</header>
<form id="ask" hidden>
  <label for="token">This run wants a token</label>
  <input id="token" type="password" autocomplete="off" required>
  <button>Look</button>
</form>
<main>
  <section aria-labelledby="h-graph" class="graph">
    <h2 id="h-graph">Group</h2>
    <canvas id="graph" tabindex="0" role="img"
      aria-label="The group as a graph. Arrow keys choose a node."></canvas>
    <p id="chosen" class="note" aria-live="polite"></p>
  </section>
  <section aria-labelledby="h-curves" class="side">
    <h2 id="h-curves">Curves</h2>
    <div id="curves"></div>
  </section>
  <section aria-labelledby="h-lanes">
    <h2 id="h-lanes">What each node does</h2>
    <p class="legend">
      <span class="compute">compute</span><span class="exchange">merge, send</span>
      <span class="wait">wait</span><span class="peer">a peer's steps</span>
      <span class="old">not heard of</span>
    </p>
    <div class="scroll" tabindex="0" role="group" aria-labelledby="h-lanes">
      <canvas id="lanes" role="img" aria-label="A lane per node."></canvas>
    </div>
    <p class="note">The last minute, the newest on the right.</p>
  </section>
  <section aria-labelledby="h-events" class="side">
    <h2 id="h-events">Events</h2>
    <ol id="events" class="scroll" tabindex="0"></ol>
  </section>
  <section aria-labelledby="h-nodes" class="wide">
    <h2 id="h-nodes">Nodes</h2>
    <div class="scroll">
      <table id="nodes" tabindex="-1" aria-labelledby="h-nodes">
        <thead></thead><tbody></tbody>
      </table>
    </div>
    <p class="note">Age: how long ago this process has heard something new of the node.</p>
  </section>
  <section aria-labelledby="h-about" class="wide">
    <h2 id="h-about">Rule and options</h2>
    <dl id="about"></dl>
  </section>
</main>
</body>
</html>
)HTML";

/// CSS, of the report of finished runs (examples/report), too.
inline constexpr const char* watch_style = R"CSS(:root {
  --ground: #fbfbfa; --panel: #ffffff; --ink: #1d1f21; --soft: #5c6168; --line: #dcdee1;
  --compute: #2767b1; --exchange: #d9822b; --wait: #c3c8ce; --peer: #3a8f84; --bad: #b3261e;
  --good: #2e7d4f; --chosen: #8a3ffc;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #16181b; --panel: #1e2125; --ink: #e9eaec; --soft: #a3a9b1; --line: #363b42;
    --compute: #6ea8ee; --exchange: #f0a35a; --wait: #545b64; --peer: #5cc2b4; --bad: #ff8a80;
    --good: #7bcf9b; --chosen: #c7a2ff;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif;
}
header, main, #ask { max-width: 88rem; margin: 0 auto; padding: 0 1rem; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: .4rem 1rem; padding-top: .8rem; }
h1 { font-size: 1.3rem; margin: 0; }
h2 { font-size: 1rem; margin: 0 0 .5rem; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: .5rem; background: var(--panel); padding: .3rem; }
:focus-visible { outline: 3px solid var(--chosen); outline-offset: 2px; }
[hidden] { display: none !important; }
#status { margin: 0; padding: .1rem .7rem; border: 1px solid var(--line); border-radius: 1rem;
  background: var(--panel); color: var(--soft); }
#status.live { color: var(--good); border-color: var(--good); }
#status.broken { color: var(--bad); border-color: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.5rem, 1fr)); gap: .5rem;
  margin: 0; flex-basis: 100%; }
.tiles div { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem;
  padding: .4rem .6rem; min-width: 0; }
dt { color: var(--soft); font-size: .8rem; }
dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.tiles dd { font-size: 1.15rem; }
main { display: grid; grid-template-columns: 3fr 2fr; gap: .8rem; padding-top: .8rem;
  padding-bottom: 2rem; }
section { background: var(--panel); border: 1px solid var(--line); border-radius: .6rem;
  padding: .8rem; min-width: 0; }
.wide { grid-column: 1 / -1; }
canvas { display: block; width: 100%; }
.graph { display: flex; flex-direction: column; }
#graph { height: 26rem; }
.scroll { max-height: 24rem; overflow: auto; margin: 0; }
.note { color: var(--soft); font-size: .85rem; margin: .4rem 0 0; min-height: 1.3em; }
#curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .8rem; }
figure { margin: 0; }
figcaption { font-size: .85rem; display: flex; justify-content: space-between; gap: .5rem; }
figcaption b { font-weight: 600; overflow-wrap: anywhere; }
figure canvas, figure svg { width: 100%; height: 7.5rem; display: block; }
figure:only-child canvas { height: 16rem; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: 0 0 .4rem; font-size: .85rem; }
.legend span::before { content: ""; display: inline-block; width: .8em; height: .8em;
  margin-right: .35em; background: var(--wait); border-radius: 2px; vertical-align: -.05em; }
.legend .compute::before { background: var(--compute); }
.legend .exchange::before { background: var(--exchange); }
.legend .peer::before { background: var(--peer); }
.legend .old::before { background: none; border: 1px dashed var(--soft); }
#events { padding: 0; list-style: none; max-height: 20rem; }
#events li { display: flex; gap: .8rem; padding: .15rem 0; border-bottom: 1px solid var(--line); }
#events time { color: var(--soft); min-width: 5.5em; text-align: right;
  font-variant-numeric: tabular-nums; }
.bad { color: var(--bad); }
.good { color: var(--good); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .15rem .6rem; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th:nth-child(2), td:nth-child(2) { text-align: left; }
thead th { position: sticky; top: 0; background: var(--panel); }
thead button { all: unset; cursor: pointer; color: var(--soft); font-size: .85rem; }
thead button:focus-visible { outline: 3px solid var(--chosen); }
tbody tr { cursor: pointer; }
tbody tr.chosen { background: color-mix(in srgb, var(--chosen) 20%, transparent); }
#about { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr));
  gap: .4rem 1rem; margin: 0; }
#about dd { white-space: pre-wrap; max-height: 9rem; overflow: auto; }
#ask { padding: 1rem; }
input, #ask button { font: inherit; padding: .2rem .5rem; }
@media (max-width: 54rem) {
  main { grid-template-columns: minmax(0, 1fr); }
  #graph { height: 19rem; }
}
@media (max-width: 36rem) {
  .less { display: none; }
  .tiles { grid-template-columns: repeat(3, 1fr); }
  th, td { padding: .15rem .35rem; }
}
)CSS";

}  // namespace gossamer::observe
