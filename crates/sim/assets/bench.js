// @ts-check
/** The test bench: plays stories with the cards of the bench, and tells what came of them. */

import { playStory } from "./api.js";
import { byId, make, say } from "./dom.js";
import { verdictSign } from "./receipt.js";
import { sequence } from "./sequence.js";

/** @typedef {import("./api.js").Played} Played */
/** @typedef {{card: string, profile: string, name: string, title: string, button: HTMLButtonElement}} Story */

const WORDS = { playing: ", being played", right: ", came out right", wrong: ", came out wrong", failed: ", could not be played" };

/** What each attempt's outcome means, in words. */
const OUTCOMES = {
  sent: "sent, not known yet",
  applied: "applied, says the chip",
  failed: "failed, says the chip",
  not_applied: "not applied: the chip reports none",
  reported: "reported by the terminal only",
  unknown: "not known",
};

/** Results of the stories played since the page was opened. @type {Map<HTMLButtonElement, Played>} */
const results = new Map();

/** @returns {Story[]} */
function stories() {
  return [...document.querySelectorAll(".bench-row")].flatMap((row) => {
    const { card = "", profile = "" } = row instanceof HTMLElement ? row.dataset : {};
    return [...row.querySelectorAll("button")].map((button) => ({
      card,
      profile,
      name: button.dataset.story ?? "",
      title: button.children[1]?.textContent ?? "",
      button,
    }));
  });
}

/** @param {HTMLButtonElement} button @param {keyof typeof WORDS} state */
function show(button, state) {
  button.dataset.state = state;
  const words = button.querySelector(".story-words");
  const place = button.querySelector(".story-sign");
  if (words) say(words, WORDS[state]);
  place?.replaceChildren(...(state === "right" || state === "wrong" ? [verdictSign(state === "right")] : []));
}

/** @param {Story} story */
async function play(story) {
  show(story.button, "playing");
  try {
    const played = await playStory(story.card, story.name);
    results.set(story.button, played);
    show(story.button, played.right ? "right" : "wrong");
    return played;
  } catch {
    show(story.button, "failed");
    return null;
  } finally {
    sum();
  }
}

function sum() {
  const states = stories().map(({ button }) => button.dataset.state);
  const count = (/** @type {string} */ state) => states.filter((each) => each === state).length;
  const bad = count("wrong") + count("failed");
  const played = count("right") + bad;
  const soFar = bad > 0 ? `${bad} came out wrong` : "all came out right";
  say(
    byId("bench-sum"),
    played < states.length || bad > 0
      ? `${played} of ${states.length} stories played: ${soFar}.`
      : `${played} of ${states.length} stories came out right.`,
  );
}

/** @param {Story} story @param {Played} played */
function tell(story, played) {
  say(byId("told-title"), `${story.profile}: ${story.title}`);
  const uses = `${played.contact_uses} contact uses${played.contact_uses_more > 0 ? ` and ${played.contact_uses_more} more` : ""}`;
  const words = played.right
    ? `Bank and chip have the same PIN after ${uses}, the bank knows it, and it said nothing wrong on the way.`
    : `What the bank says of the chip isn't what the chip holds, or it didn't find out in time: ${uses}.`;
  byId("told-verdict").dataset.approved = String(played.right);
  byId("told-verdict").replaceChildren(verdictSign(played.right), words);
  byId("told-steps").replaceChildren(...played.steps.map(toldStep));
  byId("told-evidence").replaceChildren(
    ...played.attempts.map(({ attempt, kind, version, atc, outcome, evidence }) => {
      const line = `Attempt ${attempt}, ${kind.replaceAll("_", " ")}, PIN version ${version}, sent with counter ${hex(atc)}: `;
      return make("li", {}, line, make("strong", {}, OUTCOMES[outcome] ?? outcome), evidence ? `. ${evidence}` : "");
    }),
  );
  const told = byId("told");
  told.hidden = false;
  told.focus({ preventScroll: true });
  told.scrollIntoView({ block: "start" });
}

/** @param {number} atc */
function hex(atc) {
  return atc.toString(16).toUpperCase().padStart(4, "0");
}

/** @param {Played["steps"][number]} step */
function toldStep(step) {
  const { outcome, trace } = step.journey;
  const bank = step.chip_versions.length === 1 ? `version ${step.chip_versions[0]}` : `version ${step.chip_versions.join(" or ")}`;
  const facts = make("dl", { class: "told-facts" });
  const fact = (/** @type {string} */ name, /** @type {string} */ value) => make("div", {}, make("dt", {}, name), make("dd", {}, value));
  facts.append(
    fact("Terminal", outcome.display.at(-1)?.toLowerCase() ?? (outcome.approved ? "approved" : "declined")),
    fact("Bank's PIN", `version ${step.host_version}`),
    fact("Bank says the chip has", bank),
    fact("The plastic holds", step.plastic_version === null ? "another PIN" : `version ${step.plastic_version}`),
    fact("Tries on the chip", String(step.tries_left)),
  );
  const scenes = make("details", {}, make("summary", { class: "unfolds" }, `Behind the scenes: ${trace.length} messages`), sequence(trace));
  return make("li", { "data-agrees": String(step.agrees) }, make("h3", {}, step.title), facts, scenes);
}

for (const story of stories()) {
  story.button.addEventListener("click", async () => {
    const known = results.get(story.button);
    const again = known && byId("told-title").textContent !== `${story.profile}: ${story.title}`;
    const played = again ? known : await play(story);
    if (played) tell(story, played);
  });
}

document.getElementById("play-all")?.addEventListener("click", async (event) => {
  const button = /** @type {HTMLButtonElement} */ (event.currentTarget);
  button.disabled = true;
  for (const story of stories()) await play(story);
  button.disabled = false;
});

