// @ts-check
/** The cash machine: card, PIN, then cash or balance. The bank checks the PIN. */

import { transact } from "./api.js";
import { acceptDrop, display, follow, slot } from "./device.js";
import { byId, part, say } from "./dom.js";
import { keypad } from "./keypad.js";
import { happened } from "./tour.js";
import { heldCard } from "./wallet.js";

/** @returns {{reset: () => void}} */
export function startAtm() {
  const device = byId("atm-device");
  const insert = /** @type {HTMLButtonElement} */ (byId("atm-insert"));
  const menu = byId("atm-menu");
  /** @type {"idle" | "pin" | "menu" | "busy"} */
  let stage = "idle";
  let pin = "";

  const keys = keypad(device, { ok: pinKeyed, cancel: () => takeOut() });

  /** @param {"idle" | "pin" | "menu" | "busy"} next */
  function enter(next) {
    stage = next;
    keys.enable(next === "pin");
    menu.hidden = next !== "menu";
    part(device, "keypad").hidden = next === "menu";
    insert.disabled = next === "busy" || !heldCard();
    say(insert, next === "idle" ? "Insert card" : "Take card out");
    slot(device, next !== "idle");
  }

  function takeOut() {
    if (stage === "busy") return;
    pin = "";
    keys.take();
    enter("idle");
    display(device, heldCard() ? "Welcome\nPlease insert your card" : "No card in your hand");
  }

  function putIn() {
    if (stage !== "idle") return takeOut();
    enter("pin");
    display(device, "Enter your PIN, then OK");
    device.focus({ preventScroll: true });
  }

  function pinKeyed() {
    if (keys.length() < 4) return display(device, "A PIN has 4 digits or more");
    pin = keys.take();
    enter("menu");
    display(device, "Cash or balance?");
    menu.querySelector("button")?.focus({ preventScroll: true });
  }

  /** @param {HTMLElement} choice */
  async function choose(choice) {
    const card = heldCard();
    if (stage !== "menu" || !card) return;
    const action = choice.dataset.action ?? "balance";
    const request = { card, pin, action, amount: Number(choice.dataset.amount ?? 0) };
    pin = "";
    enter("busy");
    const title = action === "cash" ? "Cash machine, cash" : "Cash machine, balance";
    const journey = await follow(device, title, transact("atm", request));
    if (journey?.outcome.approved) happened("atm", card);
    enter("idle");
  }

  insert.addEventListener("click", putIn);
  menu.addEventListener("click", (event) => {
    const choice = event.target instanceof Element ? event.target.closest("button") : null;
    if (choice) void choose(choice);
  });
  acceptDrop(device, () => {
    if (stage === "idle") putIn();
  });
  takeOut();
  return { reset: takeOut };
}
