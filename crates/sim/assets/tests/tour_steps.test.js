// The tour's steps against the answers that the story gives, one after the other.

import assert from "node:assert/strict";
import { test } from "node:test";

import { STEPS, freshFacts, observe } from "../tour_steps.js";

/** An answer of /api/state for two cards, of which the first has this story. */
function state({ version = 1, chip = "new", inFlight = null, mails = 0, reachable = true }) {
  const bank = (host, chipState, script) => ({ host: { version: host }, chip: { state: chipState }, script });
  const script = { queued: null, in_flight: inFlight };
  return {
    cards: [
      { card: "a", bank: reachable ? bank(version, chip, script) : null },
      { card: "b", bank: bank(7, "new", { queued: null, in_flight: null }) },
    ],
    mail: { total: mails, unread: 0 },
  };
}

const done = (facts) => STEPS.map((step) => step.done(facts));
const act = (facts, name) => ({ ...facts, acts: [...facts.acts, name] });

test("there are seven steps, and at the beginning none is done", () => {
  assert.equal(STEPS.length, 7);
  assert.deepEqual(done(observe(freshFacts(), state({}), "b")), Array(7).fill(false));
});

test("each step is done by its own event, in the order of the story", () => {
  let facts = observe(freshFacts(), state({}), "b");
  const story = [
    [() => act(facts, "portal"), 1],
    [() => observe(facts, state({ version: 2, chip: "previous" }), "b"), 2],
    [() => observe(facts, state({ version: 2, chip: "unknown", inFlight: "change_pin" }), "b"), 3],
    [() => observe(facts, state({ version: 2, mails: 2 }), "b"), 5],
    [() => ({ ...facts, atmAfterChange: true }), 6],
    [() => act(facts, "mailbox"), 7],
  ];
  for (const [happens, count] of story) {
    facts = happens();
    assert.deepEqual(done(facts), STEPS.map((_, at) => at < count));
  }
  assert.equal(facts.card, "a");
});

test("a card that is up to date from the beginning confirms nothing", () => {
  const facts = observe(observe(freshFacts(), state({ version: 3 }), "a"), state({ version: 3 }), "a");
  assert.equal(facts.changed || facts.sent || facts.confirmed, false);
});

test("a bank that can't be reached for a while changes nothing", () => {
  let facts = observe(freshFacts(), state({ reachable: false }), "a");
  facts = observe(facts, state({ version: 4 }), "a");
  assert.equal(facts.changed, false);
  facts = observe(facts, state({ version: 5, chip: "previous" }), "a");
  facts = observe(facts, state({ reachable: false }), "a");
  assert.deepEqual([facts.changed, facts.sent, facts.card], [true, false, "a"]);
});

test("mails from before the tour don't count", () => {
  const facts = observe(freshFacts(), state({ mails: 5 }), "a");
  assert.equal(observe(facts, state({ mails: 5 }), "a").mailed, false);
  assert.equal(observe(facts, state({ mails: 6 }), "a").mailed, true);
});
