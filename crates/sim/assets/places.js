// @ts-check
/** Two places, one PIN: the drawing, the product's own words, and what the plastic really holds beside them. */

import { byId, make, mark, mayMove, say } from "./dom.js";
import { onState } from "./poll.js";
import { heldCard, heldLastFour } from "./wallet.js";

/** @typedef {import("./api.js").BankView} BankView */
/** @typedef {import("./api.js").PlasticView} PlasticView */

/** Word and sign of each state; a sign is a stroke in a 16 by 16 box. */
const STATES = {
  not_in_use: { word: "not in use", path: "M4 8h8" },
  none: { word: "no PIN", path: "M4 8h8" },
  new: { word: "new PIN", path: "M3 9l3.5 3.5L13 4.5" },
  previous: { word: "previous PIN", path: "M8 3a5 5 0 1 1-4.6 3M3 2.5V6h3.5" },
  unknown: { word: "not sure", path: "M5.5 6a2.5 2.5 0 1 1 3.6 2.2C8.3 8.6 8 9 8 10M8 13v.2" },
  locked: { word: "locked", path: "M3.5 7.5h9v6h-9zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5" },
};

const PLASTIC_PIN = { none: "none", as_delivered: "as delivered", changed: "changed since" };

/** What was drawn last, to move only what changed: card, bank's PIN version, chip's state. */
let drawn = { card: "", version: 0, chip: "" };

export function startPlaces() {
  onState((state) => {
    const card = state.cards.find((candidate) => candidate.card === heldCard());
    say(byId("places-card"), card ? `Card ending ${heldLastFour()}` : "");
    byId("places-down").hidden = !card || card.bank !== null;
    byId("places-drawing").hidden = !card?.bank;
    if (card?.bank) drawBank(card.bank);
    else forgetBank(card ? "" : "No card in your hand.");
    showPlastic(card?.plastic ?? null);
  });
}

/** @param {BankView} bank */
function drawBank(bank) {
  const isSame = bank.host.state === "new" && bank.chip.state === "new";
  drawPlace("host", bank.host.state, isSame);
  drawPlace("chip", bank.chip.state, isSame);
  drawScript(bank);
  say(byId("places-headline"), bank.advice.headline);
  say(byId("places-where"), bank.advice.where_it_works);
  say(byId("places-next"), bank.advice.next_step);
  byId("places-next").hidden = bank.advice.next_step === "";
  const known = bank.chip.known_version;
  showFacts(byId("truth-bank"), [
    ["Bank's PIN", bank.host.version === 0 ? "none" : `version ${bank.host.version}`],
    ["Tries left", bank.host.locked ? "locked" : String(bank.host.tries_left)],
    ["Chip's PIN", known === 0 ? "none" : `version ${known ?? bank.chip.possible_versions.join(" or ")}`],
  ]);
  move(bank);
}

/** @param {string} headline */
function forgetBank(headline) {
  say(byId("places-headline"), headline);
  say(byId("places-where"), "");
  byId("places-next").hidden = true;
  showFacts(byId("truth-bank"), [["Bank's PIN", "not known now"]]);
}

/**
 * @param {"host" | "chip"} place
 * @param {import("./api.js").Place} state
 * @param {boolean} isSame both places hold the same PIN, so that none is the new one any more
 */
function drawPlace(place, state, isSame) {
  const element = byId(`place-${place}`);
  const look = STATES[state] ?? STATES.unknown;
  mark(element, "data-state", state);
  mark(byId(`place-${place}-sign`), "d", look.path);
  const word = element.querySelector(".place-word");
  if (word) say(word, isSame ? "your PIN" : look.word);
}

/** @param {BankView} bank */
function drawScript(bank) {
  const { queued, in_flight: inFlight } = bank.script;
  const where = queued ? "queued" : inFlight ? "in_flight" : "none";
  const words = { queued: "An update for the chip waits at the bank.", in_flight: "The update was sent to the chip.", none: "" };
  mark(byId("script-path"), "data-script", where);
  say(byId("script-words"), words[where]);
}

/** @param {PlasticView | null} plastic */
function showPlastic(plastic) {
  if (!plastic) {
    showFacts(byId("truth-chip"), [["Chip", "can't be read"]]);
    return;
  }
  const scripts = plastic.script_failed ? `${plastic.scripts_to_report}, failed` : String(plastic.scripts_to_report);
  showFacts(byId("truth-chip"), [
    ["PIN", PLASTIC_PIN[plastic.pin]],
    ["Tries left", `${plastic.tries_left} of ${plastic.tries_max}`],
    ["Updates to report", scripts],
    ["Transactions", String(plastic.transactions)],
  ]);
}

/**
 * @param {HTMLElement} list
 * @param {[string, string][]} facts
 */
function showFacts(list, facts) {
  const text = facts.flat().join("\n");
  if (list.dataset.facts === text) return;
  list.dataset.facts = text;
  list.replaceChildren(...facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

/**
 * A new version drops into the bank; a PIN that reached the chip travels there from the bank.
 * @param {BankView} bank
 */
function move(bank) {
  const before = drawn;
  drawn = { card: bank.card, version: bank.host.version, chip: bank.chip.state };
  if (before.card !== bank.card || !mayMove()) return;
  if (bank.host.version > before.version) drop(byId("place-host"));
  if (bank.chip.state === "new" && before.chip !== "new") travel(byId("place-host"), byId("place-chip"));
}

/** @param {HTMLElement} place */
function drop(place) {
  const frames = [{ transform: "translateY(-14px)", opacity: 0.2 }, { transform: "none", opacity: 1 }];
  place.querySelector(".pin-token")?.animate(frames, { duration: 250, easing: "ease-out" });
}

/**
 * @param {HTMLElement} from
 * @param {HTMLElement} to
 */
function travel(from, to) {
  const token = from.querySelector(".pin-token");
  const goal = to.querySelector(".pin-token");
  if (!token || !goal) return;
  const drawing = byId("places-drawing").getBoundingClientRect();
  const start = token.getBoundingClientRect();
  const end = goal.getBoundingClientRect();
  const traveller = token.cloneNode(true);
  if (!(traveller instanceof HTMLElement)) return;
  traveller.classList.add("traveller");
  traveller.setAttribute("aria-hidden", "true");
  traveller.style.left = `${start.left - drawing.left}px`;
  traveller.style.top = `${start.top - drawing.top}px`;
  byId("places-drawing").append(traveller);
  const way = `translate(${end.left - start.left}px, ${end.top - start.top}px)`;
  const flight = traveller.animate([{ transform: "none" }, { transform: way }], { duration: 250, easing: "ease-in-out" });
  flight.finished.finally(() => traveller.remove());
}
