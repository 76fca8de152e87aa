// @ts-check
/** The guided tour's panel. What the steps are and when each is done stands in `tour_steps.js`. */

import { byId, make, mayMove, say } from "./dom.js";
import { latestState, onState } from "./poll.js";
import { STEPS, freshFacts, observe } from "./tour_steps.js";
import { heldCard, pickUp } from "./wallet.js";

/** @typedef {import("./tour_steps.js").Facts} Facts */
/** @typedef {{open: boolean, step: number, facts: Facts}} Memory */

const MEMORY = "sandbox-tour";

/** @type {Memory} */
let memory = { open: true, step: 0, facts: freshFacts() };

/**
 * Tells the tour of something that happened on this page.
 * @param {"portal" | "letter" | "shop-insert" | "shop-tap" | "atm" | "mailbox"} act
 * @param {string} [card]
 */
export function happened(act, card) {
  if (card && memory.facts.card && card !== memory.facts.card) return;
  update((facts) => ({
    ...facts,
    acts: [...new Set([...facts.acts, act])],
    atmAfterChange: facts.atmAfterChange || (act === "atm" && facts.changed),
  }));
}

/** @param {(tab: string) => void} openTab shows the station a step speaks of */
export function startTour(openTab) {
  if (!heldCard()) return;
  recall();
  byId("tour-steps").replaceChildren(...STEPS.map(() => make("li")));
  byId("tour-show").addEventListener("click", () => showControl(openTab));
  byId("tour-back").addEventListener("click", () => goTo(memory.step - 1));
  byId("tour-next").addEventListener("click", () => (memory.step === STEPS.length - 1 ? leave() : goTo(memory.step + 1)));
  byId("tour-close").addEventListener("click", leave);
  byId("tour-open").addEventListener("click", begin);
  document.getElementById("portal-link")?.addEventListener("click", () => happened("portal"));
  byId("mailbox-link").addEventListener("click", () => happened("mailbox"));
  onState(watch);
  draw();
}

function begin() {
  memory = { open: true, step: 0, facts: freshFacts() };
  watch();
  byId("tour").scrollIntoView({ block: "start", behavior: mayMove() ? "smooth" : "instant" });
}

function leave() {
  memory.open = false;
  store();
  draw();
  byId("tour-open").focus();
}

/** @param {number} step */
function goTo(step) {
  memory.step = Math.max(0, Math.min(STEPS.length - 1, step));
  store();
  draw();
}

function watch() {
  const state = latestState();
  update((facts) => (state ? observe(facts, state, heldCard()) : facts));
}

/**
 * Goes on as soon as what the present step asks for is done. A step that was done before and is looked at again stays.
 * @param {(facts: Facts) => Facts} change
 */
function update(change) {
  const step = STEPS[memory.step];
  const wasDone = step?.done(memory.facts);
  memory.facts = change(memory.facts);
  if (memory.open && !wasDone && step?.done(memory.facts) && memory.step < STEPS.length - 1) memory.step += 1;
  store();
  draw();
}

function draw() {
  byId("tour").hidden = !memory.open;
  byId("tour-open").hidden = memory.open;
  for (const marked of document.querySelectorAll("[data-tour-here]")) marked.removeAttribute("data-tour-here");
  if (!memory.open) return;
  const step = STEPS[memory.step] ?? STEPS[0];
  if (!step) return;
  const dots = [...byId("tour-steps").children];
  dots.forEach((dot, at) => {
    dot.toggleAttribute("data-done", STEPS[at]?.done(memory.facts) ?? false);
    if (at === memory.step) dot.setAttribute("aria-current", "step");
    else dot.removeAttribute("aria-current");
  });
  say(byId("tour-count"), `Step ${memory.step + 1} of ${STEPS.length}${step.done(memory.facts) ? ", done" : ""}`);
  say(byId("tour-title"), step.title);
  say(byId("tour-text"), step.text);
  byId("tour-back").toggleAttribute("disabled", memory.step === 0);
  say(byId("tour-next"), memory.step === STEPS.length - 1 ? "Finish" : "Next");
  document.getElementById(step.control)?.setAttribute("data-tour-here", "");
}

/** @param {(tab: string) => void} openTab */
function showControl(openTab) {
  const step = STEPS[memory.step];
  if (!step) return;
  if (memory.facts.card) pickUp(memory.facts.card);
  if (step.tab) openTab(step.tab);
  const control = document.getElementById(step.control);
  control?.scrollIntoView({ block: "center", behavior: mayMove() ? "smooth" : "instant" });
  control?.focus({ preventScroll: true });
}

function store() {
  localStorage.setItem(MEMORY, JSON.stringify(memory));
}

function recall() {
  try {
    const stored = JSON.parse(localStorage.getItem(MEMORY) ?? "null");
    if (stored && Number.isInteger(stored.step) && stored.step in STEPS) {
      memory = { open: stored.open === true, step: stored.step, facts: { ...freshFacts(), ...stored.facts } };
    }
  } catch {
    localStorage.removeItem(MEMORY);
  }
}
