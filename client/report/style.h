// The style sheet of a report.
#pragma once

namespace seedlm::client {

// Classes: page (tile, state, trouble, note, scroll) and charts (bar, worst, rest, running, ..).
inline constexpr char kReportStyle[] = R"css(
:root { color-scheme: light dark; --page: #fbfaf7; --card: #ffffff; --ink: #1d2430; --dim: #6b7280;
  --edge: #e4e2dc; --bar: #2f6f9f; --inside: #ffffff; --above: #8fb3cc; --worst: #c2541d; --rest: #c9c5ba;
  --mean: #1d2430; --running: #cfe0ec; --waiting: #ebe8e0; --warning: #d99a17; }
@media (prefers-color-scheme: dark) { :root { --page: #14171c; --card: #1c2027; --ink: #e7e9ee;
  --dim: #98a1af; --edge: #2d333d; --bar: #5aa2d6; --inside: #0e1216; --above: #3b6f97; --worst: #f08a4b;
  --rest: #4a505b; --mean: #e7e9ee; --running: #24465e; --waiting: #2a2f38; --warning: #e0b040; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 40px 32px 64px; max-width: 1240px; background: var(--page);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  font-variant-numeric: tabular-nums; }
header { display: flex; align-items: center; gap: 16px; flex-wrap: wrap; }
h1 { margin: 0; font-size: 26px; font-weight: 650; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { margin: 0; font-size: 18px; font-weight: 650; }
section > p { margin: 2px 0 18px; color: var(--dim); max-width: 100ch; }
section, .tile { background: var(--card); border: 1px solid var(--edge); border-radius: 10px; }
section { margin-top: 20px; padding: 22px 26px 20px; }
.state { padding: 3px 11px; border-radius: 99px; font-size: 12px; font-weight: 650;
  letter-spacing: .04em; background: var(--waiting); }
.state.SUCCEEDED { background: #1f7a4d; color: #fff; }
.state.FAILED { background: #b3261e; color: #fff; }
.state.RUNNING { background: var(--running); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; margin: 14px 0 22px; }
dt { color: var(--dim); }
dd { margin: 0; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 14px; }
.tile { padding: 14px 18px 12px; display: flex; flex-direction: column; }
.tile b { font-weight: 500; color: var(--dim); font-size: 13px; }
.tile strong { font-size: 29px; line-height: 1.25; font-weight: 650; letter-spacing: -.02em; }
.tile span { color: var(--dim); font-size: 13px; }
.trouble, .note { padding: 10px 16px; border-left: 4px solid var(--warning); margin: 0 0 12px;
  background: var(--card); overflow-wrap: anywhere; }
.trouble { border-color: #b3261e; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font-size: 12.5px; fill: var(--ink); }
svg .dim { fill: var(--dim); font-size: 11.5px; }
svg .small { font-size: 10.5px; }
svg .strong { font-weight: 650; }
svg .inside { fill: var(--inside); }
.bar { fill: var(--bar); }
.bar.above { fill: var(--above); }
.bar.worst { fill: var(--worst); }
.bar:hover { opacity: .75; }
.rest { fill: var(--rest); }
.running { fill: var(--running); }
.waiting { fill: var(--waiting); }
.warning { fill: var(--warning); opacity: .8; }
.mark { fill: var(--bar); opacity: .6; }
.area { fill: var(--bar); opacity: .18; }
.line { fill: none; stroke: var(--bar); stroke-width: 2; }
.touch { fill: transparent; }
.touch:hover { stroke: var(--ink); }
.axis { stroke: var(--dim); stroke-width: 1; }
.grid { stroke: var(--edge); stroke-width: 1; }
.mean { stroke: var(--mean); stroke-width: 1.2; stroke-dasharray: 4 3; }
.scroll { overflow: auto; max-height: 640px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th { position: sticky; top: 0; background: var(--card); text-align: right; font-weight: 600;
  color: var(--dim); padding: 6px 10px; border-bottom: 1px solid var(--edge); white-space: nowrap; }
td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--edge);
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; overflow-wrap: anywhere;
  white-space: normal; }
details { margin-top: 20px; color: var(--dim); }
details td, details th { text-align: left; }
summary { cursor: pointer; }
@media print { .scroll { max-height: none; } body { padding: 0; } section { break-inside: avoid; } }
)css";

}  // namespace seedlm::client
