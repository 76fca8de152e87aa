// @ts-check
/** The PIN letter of the card in your hand: opened on request, put away when another card is picked up. */

import { Refused, pinLetter } from "./api.js";
import { byId, say } from "./dom.js";
import { heldCard, heldLastFour } from "./wallet.js";

/** @returns {{putAway: () => void}} */
export function startLetter() {
  const button = /** @type {HTMLButtonElement} */ (byId("letter-show"));
  const letter = byId("letter");

  function putAway() {
    letter.hidden = true;
    say(byId("letter-pin"), "");
    say(button, "Show PIN letter");
    button.setAttribute("aria-expanded", "false");
    button.disabled = !heldCard();
  }

  async function open() {
    const card = heldCard();
    if (!card) return;
    let pin = "";
    let words = `The PIN of your card ending ${heldLastFour()}`;
    try {
      pin = (await pinLetter(card)).pin;
    } catch (error) {
      words = error instanceof Refused ? error.message : "The letter can't be fetched.";
    }
    say(byId("letter-words"), words);
    say(byId("letter-pin"), pin);
    byId("letter-pin").hidden = pin === "";
    letter.hidden = false;
    say(button, "Put PIN letter away");
    button.setAttribute("aria-expanded", "true");
  }

  button.addEventListener("click", () => (letter.hidden ? void open() : putAway()));
  putAway();
  return { putAway };
}
