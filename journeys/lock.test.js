// Three wrong PINs lock it, at the bank or on the chip; unlocking frees both.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { CARDS, Issuer, headline, insertInShop, otherPin, stepUp, useCashMachine } from "./issuer.js";

const issuer = await Issuer.open();
after(() => issuer.close());

test("three wrong PINs at the cash machine lock it, View PIN raises the alert, and unlocking frees it", async () => {
  const card = CARDS.benCredit;
  const right = await issuer.letter(card);
  const wallet = await issuer.wallet(await issuer.page(), card);
  const codes = [];
  for (const pin of [otherPin(right), otherPin(right), otherPin(right), right]) {
    codes.push((await useCashMachine(wallet, pin)).response_code);
  }
  assert.deepEqual(codes, ["55", "55", "55", "75"], "once locked, even the right PIN gets the locked answer");
  await headline(wallet, "Your PIN is locked after too many wrong tries.");

  const portal = await issuer.signedIn("ben");
  await issuer.openPin(portal, card, "view");
  await portal.getByTestId("pin-locked-alert").waitFor();
  await portal.getByTestId("alert-unlock").click();
  await portal.waitForURL(/\/step-up/);
  await stepUp(portal, "ben");
  await portal.getByTestId("unlock").click();
  await portal.getByTestId("done").filter({ hasText: "Your PIN is unlocked." }).waitFor();
  await headline(portal, "Your PIN is unlocked. The chip follows at its next insertion.");

  const balance = await useCashMachine(wallet, right);
  assert.equal(balance.approved, true, "the bank's place is free at once");
  assert.equal(issuer.terminal("pos", card, { pin: right, amount: "3.00" }).approved, true);
  const { advice, host, script } = issuer.status(card);
  assert.equal(advice.code, "up_to_date");
  assert.equal(host.tries_left, 3);
  const attempts = script.attempts.map(({ kind, outcome }) => [kind, outcome]);
  assert.deepEqual(attempts, [["unblock_by_csu", "unknown"]], "the chip was not locked, so its next word proves nothing");
});

test("three wrong PINs in the shop block the chip, and one insertion after the unlock frees it", async () => {
  const card = CARDS.adaCredit;
  const right = await issuer.letter(card);
  const wallet = await issuer.wallet(await issuer.page(), card);
  const wrong = otherPin(right);
  const tries = [];
  for (let insertion = 0; insertion < 3; insertion += 1) tries.push((await insertInShop(wallet, wrong)).pin_tries_left);
  assert.deepEqual(tries, [2, 1, 0]);
  const locked = await insertInShop(wallet, right);
  assert.ok(locked.display.includes("NO PIN TRIES LEFT ON CARD"), locked.display.join("\n"));
  assert.equal(issuer.terminal("pos", card, { pin: right, amount: "60.00" }).approved, false, "too much to pay without a PIN");
  await headline(wallet, "Your card's chip has locked its PIN.");

  const portal = await issuer.signedIn("ada");
  await issuer.openPin(portal, card);
  await portal.getByTestId("do-unlock").click();
  await stepUp(portal, "ada");
  await portal.getByTestId("unlock").click();
  await headline(portal, "Your PIN is unlocked. The chip follows at its next insertion.");

  assert.equal((await useCashMachine(wallet, right)).approved, true);
  const paid = await insertInShop(wallet, right);
  assert.equal(paid.approved, true);
  await headline(wallet, "Your PIN is up to date everywhere.");
  const { chip, script } = issuer.status(card);
  assert.equal(chip.pin_blocked, false);
  const attempts = script.attempts.map(({ kind, outcome }) => [kind, outcome]);
  assert.deepEqual(attempts, [["unblock_by_csu", "applied"]], "the chip was locked and says that it no longer is");
});
