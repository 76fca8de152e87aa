// A card that arrives inactive and without a PIN: activated, given its first PIN, used.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { CARDS, Issuer, headline, insertInShop, stepUp, typePin, useCashMachine } from "./issuer.js";

const CARD = CARDS.adaCharge;
const FIRST_PIN = "8305";

const issuer = await Issuer.open();
after(() => issuer.close());

test("an inactive card is activated, gets its first PIN, and the chip takes it at its first insertion", async () => {
  const portal = await issuer.signedIn("ada");
  const wallet = await issuer.wallet(await issuer.page(), CARD);
  await headline(wallet, "This card isn't active yet.");
  assert.equal((await useCashMachine(wallet, FIRST_PIN)).response_code, "62");

  await activate(portal);
  await portal.getByTestId("do-create").click();
  await portal.waitForURL(/\/step-up/);
  await stepUp(portal, "ada");
  await typePin(portal, "new-pin", FIRST_PIN);
  await typePin(portal, "repeat-pin", FIRST_PIN);
  await portal.getByTestId("pin-submit").click();
  await portal.getByTestId("done").filter({ hasText: "Your PIN is set." }).waitFor();
  await headline(portal, "Your PIN is set. Your card's chip doesn't have it yet.");

  const cash = await useCashMachine(wallet, FIRST_PIN, "cash-20");
  assert.equal(cash.approved, true);
  assert.notEqual(cash.script, null);
  await headline(wallet, "Your card was given the new PIN and will confirm it at its next use.");

  const paid = await insertInShop(wallet, FIRST_PIN);
  assert.equal(paid.approved, true);
  assert.ok(paid.receipt.some((line) => /PIN/.test(line)), paid.receipt.join("\n"));
  await headline(wallet, "Your PIN is up to date everywhere.");
  assert.equal(issuer.status(CARD).chip.known_version, 1);

  const wrong = issuer.terminal("pos", CARD, { pin: "1111", amount: "5.00" });
  assert.equal(wrong.pin_tries_left, 2, "from now on the chip checks the PIN itself");
  const [created, confirmed] = await issuer.mailsOnce(2);
  assert.match(created.source, /you have created the PIN of your card/);
  assert.match(confirmed.subject, /has your new PIN/);
});

async function activate(portal) {
  const card = portal.getByTestId("card").and(portal.locator(`[data-card="${issuer.card(CARD)}"]`));
  await card.getByTestId("activate").click();
  await portal.getByTestId("expiry").fill("01/26");
  await portal.getByTestId("activate").click();
  await portal.getByTestId("error-summary").filter({ hasText: "That isn't the expiry date of this card." }).waitFor();
  const { expiry } = issuer.status(CARD);
  await portal.getByTestId("expiry").fill(expiry);
  await portal.getByTestId("activate").click();
  await portal.getByTestId("done").filter({ hasText: "Your card is active." }).waitFor();
}
