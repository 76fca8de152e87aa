// Every page in every state: read by axe in light and dark, and laid out on a phone without sideways scrolling.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, test } from "node:test";

import { CARDS, Issuer, insertInShop, otherPin, signIn, stepUp, tapInShop, typePin } from "./issuer.js";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PHONE = { width: 360, height: 740 };
const DESKTOP = { width: 1280, height: 900 };

const issuer = await Issuer.open();
after(() => issuer.close());

test("the check on pages finds what is wrong with one", async () => {
  const page = await issuer.page();
  await page.setContent('<html lang="en"><title>Wrong</title><main><h1>Wrong</h1><img src="" width="900"><p style="color:#ccc;background:#fff">Pale</p></main>');
  const faults = [];
  await look(page, "a wrong page", faults);
  for (const fault of ["image-alt", "color-contrast", "scrolls sideways"]) assert.ok(faults.some((text) => text.includes(fault)), fault);
});

test("the portal's pages can be read by everybody, on a phone too", async () => {
  const faults = [];
  const see = (page, name) => look(page, name, faults);

  const outside = await issuer.page();
  await outside.goto(issuer.portal);
  await see(outside, "sign in");
  await signIn(outside, "ada", "wrong");
  await outside.getByTestId("error-summary").waitFor();
  await see(outside, "sign in, failed");
  await outside.goto(`${issuer.portal}/nothing-here`);
  await see(outside, "no such page");

  const ada = await issuer.signedIn("ada");
  await see(ada, "card list");
  await issuer.openPin(ada, CARDS.adaCharge);
  await see(ada, "manage, card_inactive");
  await ada.getByTestId("do-activate").click();
  await see(ada, "activate");
  await ada.getByTestId("expiry").fill("01/26");
  await ada.getByTestId("activate").click();
  await ada.getByTestId("error-summary").waitFor();
  await see(ada, "activate, refused");
  await issuer.openPin(ada, CARDS.adaCharge, "change");
  await see(ada, "told: card inactive");
  await issuer.openPin(ada, CARDS.benCredit);
  await see(ada, "told: another's card");

  const card = CARDS.adaCredit;
  const old = await issuer.letter(card);
  const chosen = otherPin(old);
  await issuer.openPin(ada, card);
  await see(ada, "manage, up_to_date");
  await issuer.openPin(ada, card, "change");
  await see(ada, "change");
  await typePin(ada, "new-pin", "1234");
  await ada.getByTestId("pin-keypad").click();
  await ada.getByTestId("pin-show").click();
  await see(ada, "change, keypad, digits and guidance");
  await typePin(ada, "current-pin", old);
  await ada.getByTestId("pin-submit").click();
  await ada.getByTestId("error-summary").waitFor();
  await see(ada, "change, refused");
  await issuer.changePin(ada, card, old, chosen);
  await ada.getByTestId("evidence").locator("summary").click();
  await see(ada, "manage, chip_has_previous");
  assert.equal(issuer.terminal("pos", card, { pin: old, amount: "5.00" }).approved, true);
  await ada.reload();
  await ada.getByTestId("evidence").locator("summary").click();
  await see(ada, "manage, chip_confirming, with evidence");

  await issuer.openPin(ada, card, "view");
  await see(ada, "step-up");
  await ada.getByTestId("password").fill("wrong");
  await ada.getByTestId("step-up").click();
  await ada.getByTestId("error-summary").waitFor();
  await see(ada, "step-up, refused");
  await stepUp(ada, "ada");
  await ada.getByTestId("view-show").waitFor();
  await see(ada, "view, ready");
  await ada.getByTestId("view-show").click();
  await ada.getByTestId("view-hide").waitFor();
  await see(ada, "view, shown");
  await ada.getByTestId("view-hide").click();
  await ada.getByTestId("view-again").waitFor();
  await see(ada, "view, hidden");

  const cleo = await issuer.signedIn("cleo");
  await issuer.openPin(cleo, CARDS.cleoCharge);
  await see(cleo, "manage, no_pin");
  await cleo.getByTestId("do-create").click();
  await stepUp(cleo, "cleo");
  await cleo.getByTestId("pin-form").waitFor();
  await see(cleo, "create");
  await typePin(cleo, "new-pin", "8305");
  await typePin(cleo, "repeat-pin", "8305");
  await cleo.getByTestId("pin-submit").click();
  await cleo.getByTestId("done").waitFor();
  await see(cleo, "manage, chip_has_none");

  const ben = await issuer.signedIn("ben");
  await blockChip();
  await issuer.openPin(ben, CARDS.benCredit);
  await see(ben, "manage, chip_locked");
  await lockHost();
  await ben.reload();
  await see(ben, "manage, pin_locked");
  await issuer.openPin(ben, CARDS.benCredit, "view");
  await ben.getByTestId("pin-locked-alert").waitFor();
  await see(ben, "view, locked alert");
  await ben.getByTestId("alert-unlock").click();
  await stepUp(ben, "ben");
  await ben.getByTestId("unlock").waitFor();
  await see(ben, "unlock");
  await ben.getByTestId("unlock").click();
  await ben.getByTestId("done").waitFor();
  await see(ben, "manage, chip_unlock_waits");
  assert.deepEqual(faults, []);
});

test("the sandbox and the mailbox can be read by everybody, on a phone too", async () => {
  const faults = [];
  const see = (page, name) => look(page, name, faults);
  const card = CARDS.cleoCredit;
  const page = await issuer.page();
  await issuer.wallet(page, card);
  await see(page, "sandbox with its tour");
  await page.getByTestId("tour-close").click();
  await page.getByTestId("letter-show").click();
  await page.getByTestId("letter-pin").filter({ hasText: /\d/ }).waitFor();
  await see(page, "sandbox with a letter");
  await issuer.wallet(page, CARDS.adaCredit);
  await tapInShop(page);
  await insertInShop(page, "1111");
  await page.getByTestId("scenes").first().locator("summary").first().click();
  await see(page, "sandbox, behind the scenes");
  for (const tab of ["atm", "online"]) {
    await page.getByTestId(`tab-${tab}`).click();
    await see(page, `sandbox, ${tab}`);
  }

  await page.goto(`${issuer.sandbox}/bench`);
  await see(page, "test bench");
  await page.getByTestId("bench-row").first().getByRole("button", { name: "Change" }).click();
  await page.getByTestId("told-verdict").waitFor();
  await page.getByTestId("told-steps").locator("summary").first().click();
  await see(page, "test bench, a story told");

  const mails = await issuer.page();
  await issuer.changePin(await issuer.signedIn("cleo"), ...(await activated(card)));
  await issuer.mailsOnce(1);
  await mails.goto(`${issuer.sandbox}/mail`);
  await mails.getByTestId("mail").first().waitFor();
  await see(mails, "mailbox");
  await mails.getByTestId("mail").first().getByRole("link").click();
  await mails.getByTestId("mail-subject").waitFor();
  await see(mails, "a mail");
  await mails.goto(`${issuer.sandbox}/mail/999`);
  await see(mails, "no such mail");
  assert.deepEqual(faults, []);
});

async function activated(card) {
  const page = await issuer.signedIn("cleo");
  await page.goto(`${issuer.portal}/cards/${issuer.card(card)}/activate`);
  await page.getByTestId("expiry").fill(issuer.status(card).expiry);
  await page.getByTestId("activate").click();
  await page.getByTestId("done").waitFor();
  const old = await issuer.letter(card);
  return [card, old, otherPin(old)];
}

async function blockChip() {
  const wrong = otherPin(await issuer.letter(CARDS.benCredit));
  issuer.terminal("pos", CARDS.benCredit, { pin: [wrong, wrong, wrong], amount: "5.00" });
  issuer.terminal("pos", CARDS.benCredit, { amount: "5.00" });
}

async function lockHost() {
  const wrong = otherPin(await issuer.letter(CARDS.benCredit));
  for (let tries = 0; tries < 3; tries += 1) issuer.terminal("atm", CARDS.benCredit, { pin: wrong });
}

/** Adds what is wrong with the page as it is now: on a desktop in light, on a phone in dark colours. */
async function look(page, name, faults) {
  for (const [size, colorScheme] of [[DESKTOP, "light"], [PHONE, "dark"]]) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme });
    const beyond = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
    if (beyond > 0) faults.push(`${name}, ${size.width} px: scrolls sideways by ${beyond} px`);
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
    for (const { id, nodes } of violations) faults.push(`${name}, ${colorScheme}: ${id} at ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
  }
  await page.setViewportSize(DESKTOP);
  await page.emulateMedia({ colorScheme: "light" });
}
