// @ts-check
/** The shop's terminal: the amount, Insert with a PIN for the chip, or Tap without one. */

import { transact } from "./api.js";
import { acceptDrop, display, follow, slot } from "./device.js";
import { byId, part, say } from "./dom.js";
import { keypad } from "./keypad.js";
import { minorUnits, money } from "./money.js";
import { happened } from "./tour.js";
import { heldCard } from "./wallet.js";

/** @returns {{reset: () => void}} */
export function startShop() {
  const device = byId("shop-device");
  const amountField = /** @type {HTMLInputElement} */ (byId("shop-amount"));
  const insert = /** @type {HTMLButtonElement} */ (byId("shop-insert"));
  const tap = /** @type {HTMLButtonElement} */ (byId("shop-tap"));
  let busy = false;
  let inserted = false;

  const keys = keypad(device, { ok: () => void pay(), cancel: () => takeOut() });

  /** @returns {number | null} */
  function amount() {
    const minor = minorUnits(amountField.value);
    say(byId("shop-amount-error"), minor === null ? "Type an amount such as 24.00." : "");
    amountField.setAttribute("aria-invalid", String(minor === null));
    say(part(device, "amount"), minor === null ? "" : money(minor));
    return minor;
  }

  function takeOut() {
    if (busy) return;
    inserted = false;
    keys.take();
    keys.enable(false);
    slot(device, false);
    display(device, heldCard() ? "Insert or tap" : "No card in your hand");
    say(insert, "Insert card");
    insert.disabled = tap.disabled = !heldCard();
    amount();
  }

  function putIn() {
    if (busy) return;
    if (inserted) return takeOut();
    if (amount() === null) return amountField.focus();
    inserted = true;
    slot(device, true);
    display(device, "Enter PIN, then OK");
    say(insert, "Take card out");
    tap.disabled = true;
    keys.enable(true);
    device.focus({ preventScroll: true });
  }

  async function pay() {
    const minor = amount();
    const card = heldCard();
    if (busy || !inserted || minor === null || !card) return;
    if (keys.length() > 0 && keys.length() < 4) return display(device, "A PIN has 4 digits or more");
    await run(transact("shop/insert", { card, amount: minor, pin: keys.take() || null }), "Inserted", "shop-insert", card);
  }

  async function touch() {
    const minor = amount();
    const card = heldCard();
    if (busy || inserted || !card) return;
    if (minor === null) return amountField.focus();
    device.setAttribute("data-tapped", "");
    device.addEventListener("animationend", () => device.removeAttribute("data-tapped"), { once: true });
    await run(transact("shop/tap", { card, amount: minor }), "Tapped", "shop-tap", card);
  }

  /**
   * @param {Promise<import("./api.js").Journey>} running
   * @param {string} how
   * @param {"shop-insert" | "shop-tap"} act
   * @param {string} card
   */
  async function run(running, how, act, card) {
    busy = true;
    keys.enable(false);
    insert.disabled = tap.disabled = true;
    const journey = await follow(device, `Shop, card ${how.toLowerCase()}`, running);
    if (journey?.outcome.approved) happened(act, card);
    busy = inserted = false;
    slot(device, false);
    say(insert, "Insert card");
    insert.disabled = tap.disabled = false;
  }

  insert.addEventListener("click", putIn);
  tap.addEventListener("click", () => void touch());
  amountField.addEventListener("input", () => {
    if (minorUnits(amountField.value) !== null) amount();
  });
  amountField.addEventListener("change", amount);
  acceptDrop(device, () => {
    if (!inserted) putIn();
  });
  takeOut();
  return { reset: takeOut };
}
