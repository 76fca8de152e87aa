// The story: a cardmember changes a PIN in the browser; the cash machine takes it at once, the shop once more takes the
// old one, and the chip itself proves when it has the new one.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { CARDS, Issuer, headline, insertInShop, otherPin, tapInShop, useCashMachine } from "./issuer.js";

const GIVEN = "Your card was given the new PIN and will confirm it at its next use.";
const UP_TO_DATE = "Your PIN is up to date everywhere.";

const issuer = await Issuer.open();
after(() => issuer.close());

test("a changed PIN reaches the chip in the shop, with the old PIN once more", async () => {
  const card = CARDS.adaCredit;
  const wallet = await issuer.wallet(await issuer.page(), card);
  await wallet.getByTestId("letter-show").click();
  const old = await wallet.getByTestId("letter-pin").filter({ hasText: /^\d{4}$/ }).textContent();
  const chosen = otherPin(old);
  await headline(wallet, UP_TO_DATE);

  const portal = await issuer.signedIn("ada");
  await issuer.changePin(portal, card, old, chosen);
  await headline(portal, "Your new PIN is set. Your card's chip still has the previous one.");
  await headline(wallet, "Your new PIN is set. Your card's chip still has the previous one.");

  const tapped = await tapInShop(wallet);
  assert.equal(tapped.approved, true);
  assert.equal(tapped.script, null);
  const afterTap = issuer.status(card);
  assert.equal(afterTap.advice.code, "chip_has_previous");
  assert.deepEqual(afterTap.script.attempts, []);

  const inserted = await insertInShop(wallet, old);
  assert.equal(inserted.approved, true);
  assert.match(inserted.verdict, /approved/);
  assert.notEqual(inserted.script, null, "the answer carries the script");
  await headline(wallet, GIVEN);
  await portal.reload();
  await headline(portal, GIVEN);
  assert.equal(issuer.status(card).chip.known_version, null, "not certain before the chip says so");

  const again = await insertInShop(wallet, chosen);
  assert.equal(again.approved, true);
  assert.equal(again.script, null, "what the chip has isn't sent again");
  await headline(wallet, UP_TO_DATE);
  await portal.reload();
  await headline(portal, UP_TO_DATE);

  const status = issuer.status(card);
  assert.equal(status.advice.code, "up_to_date");
  assert.equal(status.chip.known_version, 2);
  assert.deepEqual(status.script.attempts.map(({ kind, version, outcome }) => [kind, version, outcome]), [["change_pin", 2, "applied"]]);
  assert.match(status.script.attempts[0].evidence, /CVR|script/i);
  await portal.getByTestId("evidence").locator("summary").click();
  await portal.getByTestId("evidence").getByText(status.script.attempts[0].evidence).waitFor();

  const mails = await issuer.mailsOnce(2);
  assert.deepEqual(
    mails.map(({ subject, to }) => [subject, to]),
    [
      ["New PIN for your card ending in 0011", '"Ada Fenn" <ada@larkfield.example>'],
      ["The chip of your card ending in 0011 has your new PIN", '"Ada Fenn" <ada@larkfield.example>'],
    ],
  );
  assert.equal(new Set(mails.map(({ id }) => id)).size, 2);
  assert.match(issuer.verifyAudit(), /The audit chain holds/);
});

test("the cash machine takes the new PIN at once and refuses the old, and an insertion there carries the script too", async () => {
  const card = CARDS.benCredit;
  const old = await issuer.letter(card);
  const chosen = otherPin(old);
  await issuer.changePin(await issuer.signedIn("ben"), card, old, chosen);

  const wallet = await issuer.wallet(await issuer.page(), card);
  const balance = await useCashMachine(wallet, chosen);
  assert.equal(balance.approved, true);
  assert.notEqual(balance.script, null, "an inserted card can be brought up to date here as well");
  assert.equal(issuer.status(card).advice.code, "chip_confirming");
  await headline(wallet, GIVEN);

  const refused = await useCashMachine(wallet, old);
  assert.deepEqual([refused.approved, refused.response_code], [false, "55"]);
  const { advice, host } = issuer.status(card);
  assert.equal(host.tries_left, 2);
  assert.equal(advice.code, "up_to_date", "the chip signs what it took, whatever PIN was keyed");

  const paid = issuer.terminal("pos", card, { pin: chosen, amount: "24.00" });
  assert.equal(paid.approved, true);
  await headline(wallet, UP_TO_DATE);
  assert.match(issuer.verifyAudit(), /The audit chain holds/);
});
