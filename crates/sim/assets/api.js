// @ts-check
/**
 * What the sandbox's own server answers.
 *
 * @typedef {{version: number, state: Place, locked: boolean, tries_left: number}} HostPlace
 * @typedef {{state: Place, known_version: number | null, possible_versions: number[]}} ChipPlace
 * @typedef {"not_in_use" | "none" | "new" | "previous" | "unknown" | "locked"} Place
 * @typedef {{code: string, headline: string, where_it_works: string, next_step: string}} Advice
 * @typedef {{card: string, last_four: string, status: string, host: HostPlace, chip: ChipPlace,
 *   script: {queued: string | null, in_flight: object | null, needs_attention: boolean}, advice: Advice}} BankView
 * @typedef {{pin: "none" | "as_delivered" | "changed", tries_left: number, tries_max: number, transactions: number,
 *   scripts_to_report: number, script_failed: boolean}} PlasticView
 * @typedef {{card: string, last_four: string, bank: BankView | null, plastic: PlasticView | null}} CardView
 * @typedef {{cards: CardView[], mail: {total: number, unread: number}}} SandboxState
 *
 * @typedef {"card" | "terminal" | "host"} Party
 * @typedef {{from: Party, to: Party, title: string, lines: [string, string][]}} TraceStep
 * @typedef {{approved: boolean, response_code: string | null, host_unreachable: boolean,
 *   reversal: {sent: number, answered: boolean} | null, script: string | null, trouble: string | null,
 *   pin_tries_left: number | null, display: string[], receipt: string[]}} Outcome
 * @typedef {{outcome: Outcome, trace: TraceStep[]}} Journey
 *
 * @typedef {{title: string, host_version: number, chip_versions: number[], plastic_version: number | null,
 *   tries_left: number, agrees: boolean, journey: Journey}} PlayedStep
 * @typedef {{attempt: number, kind: string, version: number, atc: number, outcome: string, evidence: string}} Attempt
 * @typedef {{right: boolean, contact_uses: number, contact_uses_more: number, steps: PlayedStep[], attempts: Attempt[]}} Played
 */

/** The server said no; the message is for the person. */
export class Refused extends Error {}

/** @returns {Promise<SandboxState>} */
export function sandboxState() {
  return call("/api/state", { headers: { accept: "application/json" } });
}

/**
 * @param {string} card
 * @returns {Promise<{pin: string}>}
 */
export function pinLetter(card) {
  return call(`/api/letters/${encodeURIComponent(card)}`, { method: "POST" });
}

/**
 * Runs one transaction.
 * @param {"shop/insert" | "shop/tap" | "atm" | "online"} where
 * @param {{card: string, amount?: number, pin?: string | null, action?: string}} request amounts in minor units
 * @returns {Promise<Journey>}
 */
export function transact(where, request) {
  return call(`/api/${where}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
  });
}

/**
 * Plays one story with a card of the test bench.
 * @param {string} card
 * @param {string} story
 * @returns {Promise<Played>}
 */
export function playStory(card, story) {
  return call(`/api/bench/${encodeURIComponent(card)}/${story}`, { method: "POST" });
}

/**
 * @param {string} path
 * @param {RequestInit} init
 */
async function call(path, init) {
  const answer = await fetch(path, { cache: "no-store", ...init });
  const body = await answer.json();
  if (!answer.ok) throw new Refused(body.error ?? "The sandbox refused this.");
  return body;
}
