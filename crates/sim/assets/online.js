// @ts-check
/** The online shop: pays with the card in your hand, and never asks for a PIN. */

import { Refused, transact } from "./api.js";
import { byId, say } from "./dom.js";
import { refresh } from "./poll.js";
import { printReceipt, verdictSign } from "./receipt.js";
import { heldCard, heldLastFour } from "./wallet.js";

const PRICE_MINOR = 1850;

/** @returns {{reset: () => void}} */
export function startOnline() {
  const pay = /** @type {HTMLButtonElement} */ (byId("online-pay"));
  const words = byId("online-display");

  function reset() {
    say(byId("online-last-four"), heldLastFour());
    words.removeAttribute("data-approved");
    words.replaceChildren();
    pay.disabled = !heldCard();
  }

  async function buy() {
    const card = heldCard();
    if (!card) return;
    pay.disabled = true;
    words.removeAttribute("data-approved");
    say(words, "Asking the bank …");
    try {
      const journey = await transact("online", { card, amount: PRICE_MINOR });
      const { approved, display } = journey.outcome;
      words.setAttribute("data-approved", String(approved));
      words.replaceChildren(verdictSign(approved), display.join(" "));
      printReceipt("Online shop", journey);
      await refresh();
    } catch (error) {
      say(words, error instanceof Refused ? error.message : "The shop can't be reached.");
    }
    pay.disabled = false;
  }

  pay.addEventListener("click", () => void buy());
  reset();
  return { reset };
}
