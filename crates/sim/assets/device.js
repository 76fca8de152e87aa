// @ts-check
/** What the shop's terminal and the cash machine share: a display, a slot, and the way an answer gets there. */

import { Refused } from "./api.js";
import { mark, part, say } from "./dom.js";
import { refresh } from "./poll.js";
import { printReceipt } from "./receipt.js";
import { CARD_TYPE, heldArt, heldLastFour, pickUp } from "./wallet.js";

/** @typedef {import("./api.js").Journey} Journey */

/**
 * @param {HTMLElement} device
 * @param {string} line
 * @param {"ready" | "busy" | "done"} mood
 */
export function display(device, line, mood = "ready") {
  say(part(device, "line"), line);
  mark(part(device, "line").parentElement ?? device, "data-mood", mood);
}

/** @param {HTMLElement} device @param {boolean} inserted */
export function slot(device, inserted) {
  mark(part(device, "slot-card"), "data-art", heldArt());
  mark(part(device, "slot"), "data-card", inserted ? "in" : "out");
  say(part(device, "slot-words"), inserted ? `Card ending ${heldLastFour()}` : "Card slot");
}

/**
 * Runs a transaction, shows how it ended as the terminal itself says it, and prints the receipt.
 * @param {HTMLElement} device
 * @param {string} title what the receipt is headed with
 * @param {Promise<Journey>} running
 * @returns {Promise<Journey | null>}
 */
export async function follow(device, title, running) {
  display(device, "Please wait", "busy");
  try {
    const journey = await running;
    display(device, journey.outcome.display.join("\n"), "done");
    printReceipt(title, journey);
    await refresh();
    return journey;
  } catch (error) {
    display(device, error instanceof Refused ? error.message : "Out of service", "done");
    return null;
  }
}

/**
 * Lets a card be dropped on a device.
 * @param {HTMLElement} device
 * @param {() => void} insert
 */
export function acceptDrop(device, insert) {
  device.addEventListener("dragover", (event) => {
    if (event.dataTransfer?.types.includes(CARD_TYPE)) event.preventDefault();
  });
  device.addEventListener("drop", (event) => {
    const card = event.dataTransfer?.getData(CARD_TYPE);
    if (!card) return;
    event.preventDefault();
    pickUp(card);
    insert();
  });
}
