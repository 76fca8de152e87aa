// @ts-check
/** The wallet: which card is in your hand, and what its state is. The cards are radio buttons. */

import { byId, say } from "./dom.js";
import { onState, tellAgain } from "./poll.js";

/** The type that a dragged card carries. */
export const CARD_TYPE = "application/x-sandbox-card";

const STATUS_WORDS = new Map([
  ["active", "Active"],
  ["inactive", "Not active yet"],
  ["blocked", "Blocked"],
]);

/** @returns {HTMLInputElement[]} */
function radios() {
  return [...document.querySelectorAll('input[name="card"]')].filter((input) => input instanceof HTMLInputElement);
}

/** The card in your hand, or null in an empty wallet. */
export function heldCard() {
  return radios().find((radio) => radio.checked)?.value ?? null;
}

/** @param {string} card */
export function pickUp(card) {
  const radio = radios().find((candidate) => candidate.value === card);
  if (!radio || radio.checked) return;
  radio.checked = true;
  radio.dispatchEvent(new Event("change", { bubbles: true }));
}

/** The art of the card in your hand, for where it is put in a slot. */
export function heldArt() {
  return radios().find((radio) => radio.checked)?.closest(".plastic")?.getAttribute("data-art") ?? "0";
}

/** The last four digits of the card in your hand. */
export function heldLastFour() {
  return radios().find((radio) => radio.checked)?.dataset.lastFour ?? "";
}

/** @param {() => void} onPick */
export function startWallet(onPick) {
  const wallet = document.getElementById("wallet");
  if (!wallet) return;
  const remembered = sessionStorage.getItem("held-card");
  const radio = radios().find((candidate) => candidate.value === remembered);
  if (radio) radio.checked = true;
  wallet.addEventListener("change", () => {
    sessionStorage.setItem("held-card", heldCard() ?? "");
    onPick();
    tellAgain();
  });
  for (const plastic of wallet.querySelectorAll(".plastic")) makeDraggable(plastic);
  onState(showStatus);
}

/** @param {Element} plastic */
function makeDraggable(plastic) {
  if (!(plastic instanceof HTMLElement)) return;
  plastic.draggable = true;
  plastic.addEventListener("dragstart", (event) => {
    const card = plastic.dataset.card ?? "";
    pickUp(card);
    event.dataTransfer?.setData(CARD_TYPE, card);
    event.dataTransfer?.setDragImage(plastic, 40, 40);
  });
}

/** @param {import("./api.js").SandboxState} state */
function showStatus(state) {
  const shown = radios().map((radio) => radio.value);
  const known = state.cards.map((card) => card.card);
  if (shown.join() !== known.join()) {
    location.reload();
    return;
  }
  for (const card of state.cards) {
    const words = byId(`card-${card.card}`).closest(".plastic")?.querySelector(".plastic-state");
    if (words) say(words, card.bank ? (STATUS_WORDS.get(card.bank.status) ?? card.bank.status) : "");
  }
}
