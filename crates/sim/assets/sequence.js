// @ts-check
/** A trace as a sequence diagram: one lane per party, one arrow per message, each unfolding to its decoded parts. */

import { make } from "./dom.js";

/** @typedef {import("./api.js").Party} Party */

/** @type {Party[]} */
const LANES = ["card", "terminal", "host"];
const LANE_WORDS = { card: "Card", terminal: "Terminal", host: "Bank" };

/**
 * Where an arrow lies on the lanes: first column, columns spanned, direction.
 * @param {number} from
 * @param {number} to
 * @returns {{column: number, span: number, way: "left" | "right" | "self"}}
 */
export function placeArrow(from, to) {
  const way = from === to ? "self" : from < to ? "right" : "left";
  return { column: Math.min(from, to) + 1, span: Math.abs(to - from) + 1, way };
}

/**
 * @param {import("./api.js").TraceStep[]} trace
 * @returns {HTMLElement}
 */
export function sequence(trace) {
  const lanes = LANES.filter((lane) => trace.some((step) => step.from === lane || step.to === lane));
  const head = make("ul", { class: "lanes", "aria-hidden": "true" });
  head.append(...lanes.map((lane) => make("li", {}, LANE_WORDS[lane])));
  const root = make("div", { class: "sequence", "data-test": "sequence" }, head);
  root.style.setProperty("--lanes", String(lanes.length));
  root.append(...trace.map((step, at) => message(step, at + 1, lanes)));
  return root;
}

/**
 * @param {import("./api.js").TraceStep} step
 * @param {number} number
 * @param {Party[]} lanes
 * @returns {HTMLElement}
 */
function message(step, number, lanes) {
  const { column, span, way } = placeArrow(lanes.indexOf(step.from), lanes.indexOf(step.to));
  const words = make("span", {}, make("span", { class: "message-number" }, `${number}. `), step.title);
  const spoken = make("span", { class: "unseen" }, `, from ${LANE_WORDS[step.from]} to ${LANE_WORDS[step.to]}`);
  const title = make("span", { class: "message-title" }, words, spoken);
  const line = make("span", { class: "arrow-line", "data-way": way });
  title.style.gridColumn = line.style.gridColumn = `${column} / span ${span}`;
  line.style.setProperty("--span", String(span));
  const summary = make("summary", {}, title, line);
  return make("details", { class: "message", "data-test": "message" }, summary, decoded(step.lines));
}

/**
 * @param {[string, string][]} lines
 * @returns {HTMLElement}
 */
function decoded(lines) {
  const list = make("dl", { class: "decoded" });
  for (const [name, value] of lines) {
    list.append(make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  }
  return list;
}
