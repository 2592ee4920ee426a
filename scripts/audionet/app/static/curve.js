// The curve of a training: how each head that was tried does on validation, one column for each, by step within it.

import { find, formatPercent, make } from "./common.js";

const SVG = "http://www.w3.org/2000/svg";
const MEASURES = {
  accuracy: { place: "#curve-accuracy", format: formatPercent, ends: (values) => [Math.min(0.9, Math.floor(Math.min(...values) * 10) / 10), 1] },
  log_loss: { place: "#curve-loss", format: (value) => value.toFixed(1), ends: (values) => [0, Math.max(0.1, Math.ceil(Math.max(...values) * 10) / 10)] },
};
const MARGIN = 0.15; // of a column, on both sides
let shown = 0;

/** Show scores, each with the name of its head, step, accuracy and log loss; without any, nothing. */
export function showCurve(scores) {
  find("#curve").hidden = !scores.length;
  if (scores.length === shown) return;
  shown = scores.length;
  const heads = [];
  for (const score of scores) {
    if (heads.at(-1)?.[0].name !== score.name) heads.push([]);
    heads.at(-1).push(score);
  }
  for (const [name, measure] of Object.entries(MEASURES)) draw(heads, name, measure);
  find("#curve-heads").replaceChildren(...heads.map(rowOf));
}

function draw(heads, name, { place, format, ends }) {
  const [low, high] = ends(heads.flat().map((score) => score[name]));
  const longest = Math.max(...heads.flat().map((score) => score.step));
  const width = 100 / heads.length;
  const across = (column, score, one) => width * (column + (one ? 0.5 : MARGIN + ((1 - 2 * MARGIN) * score.step) / longest));
  const up = (score) => 100 - (100 * (score[name] - low)) / (high - low || 1);
  const marks = heads.map((scores, column) => {
    const one = scores.length === 1;
    const points = scores.map((score) => `${across(column, score, one).toFixed(2)} ${up(score).toFixed(2)}`);
    return shape(one ? "point" : "line", `M ${points.join(" L ")}${one ? " h .01" : ""}`);
  });
  const rules = heads.slice(1).map((_, column) => shape("rule", `M ${(width * (column + 1)).toFixed(2)} 0 v 100`));
  find(`${place} svg`).replaceChildren(...rules, ...marks);
  find(`${place} .high`).textContent = format(high);
  find(`${place} .low`).textContent = format(low);
}

function shape(kind, path) {
  const element = document.createElementNS(SVG, "path");
  element.setAttribute("class", kind);
  element.setAttribute("d", path);
  element.setAttribute("vector-effect", "non-scaling-stroke");
  return element;
}

function rowOf(scores) {
  const { name, accuracy, log_loss: loss } = scores.reduce((best, score) => (score.log_loss < best.log_loss ? score : best));
  const row = make("tr");
  row.append(make("th", name, { scope: "row" }), make("td", formatPercent(accuracy)), make("td", loss.toFixed(3)));
  return row;
}
