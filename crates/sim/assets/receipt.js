// @ts-check
/** Receipts print, newest first; what was said behind the scenes unfolds under each. */

import { byId, make, mayMove, sign } from "./dom.js";
import { sequence } from "./sequence.js";

/** Receipts kept on the page. */
const RECEIPTS_MAX = 8;

/**
 * @param {boolean} approved
 * @returns {SVGElement}
 */
export function verdictSign(approved) {
  return sign(approved ? "M2.5 8.5l3.5 4 7.5-9" : "M3 3l10 10M13 3L3 13");
}

/**
 * @param {string} title
 * @param {import("./api.js").Journey} journey
 */
export function printReceipt(title, journey) {
  const { outcome, trace } = journey;
  const verdict = make("p", { class: "verdict", "data-approved": String(outcome.approved), "data-test": "verdict" });
  verdict.append(verdictSign(outcome.approved), `${title}: ${outcome.approved ? "approved" : "not approved"}`);
  const slip = make("div", { class: "slip", "data-test": "receipt-slip" }, outcome.receipt.join("\n"));
  const scenes = make(
    "details",
    { "data-test": "scenes" },
    make("summary", { class: "unfolds" }, `Behind the scenes: ${trace.length} messages`),
    sequence(trace),
  );
  const receipt = make("article", { class: "receipt", "data-test": "receipt" });
  receipt.append(verdict);
  if (outcome.receipt.length > 0) receipt.append(make("div", { class: "slip-window" }, slip));
  receipt.append(scenes);
  byId("receipts-empty").hidden = true;
  const receipts = byId("receipts");
  receipts.prepend(receipt);
  while (receipts.children.length > RECEIPTS_MAX) receipts.lastElementChild?.remove();
  if (mayMove()) {
    slip.animate([{ transform: "translateY(-100%)" }, { transform: "none" }], { duration: 250, easing: "steps(12)" });
  }
}
