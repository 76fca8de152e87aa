// View PIN: after a step-up, once, for a short time, and for nobody on the way.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { CARDS, Issuer, otherPin, stepUp } from "./issuer.js";

const CARD = CARDS.adaCredit;

const issuer = await Issuer.open();
after(() => issuer.close());

test("the PIN is shown after a step-up, hides, and no message carries it", async () => {
  const right = await issuer.letter(CARD);
  const page = await issuer.signedIn("ada");
  const traffic = listen(page);

  await show(page);
  assert.equal(await page.getByTestId("revealed-pin").innerText().then(digitsOf), right);
  await page.evaluate(() => globalThis.dispatchEvent(new Event("blur")));
  await page.getByTestId("view-again").waitFor();
  await page.getByText("The PIN was hidden because you left this window.").waitFor();
  assert.equal(await page.getByTestId("revealed-pin").innerHTML(), "");

  const messages = await traffic();
  assert.ok(messages.some(({ address }) => address.endsWith("/pin/view")), "the traffic was heard");
  for (const message of messages) assert.equal(carries(message, right), false, message.address);
});

test("the check on the traffic finds a PIN that is there", () => {
  const leaks = ['{"pin":"9274"}', '{"block":"049274FFFFFFFFFF"}', '{"block":"449274AAAAAAAAAA0011223344556677"}', "pin=9274&card=1"];
  for (const body of leaks) assert.equal(carries({ address: "/", body }, "9274"), true, body);
  assert.equal(carries({ address: "/cards/00119274deadbeef", body: '{"block":"aa9274bb00112233"}' }, "9274"), false);
});

test("each look needs a new step-up, and thirty seconds end it", async () => {
  const page = await issuer.signedIn("ada");
  await page.clock.install();
  await show(page);
  await page.clock.runFor(29_000);
  assert.equal(await page.getByTestId("revealed-pin").innerText().then(digitsOf), await issuer.letter(CARD));
  await page.clock.runFor(1_000);
  await page.getByText("Thirty seconds have passed, so the PIN is hidden again.").waitFor();
  assert.equal(await page.getByTestId("revealed-pin").innerHTML(), "");

  await page.getByTestId("view-again").click();
  await page.waitForURL(/\/step-up/);
  await page.getByTestId("password").fill("not the password");
  await page.getByTestId("step-up").click();
  await page.getByTestId("error-summary").waitFor();
  await stepUp(page, "ada");
  await page.getByTestId("view-show").waitFor();
});

test("the PIN that shops still ask for can be looked up until the chip has the new one", async () => {
  const card = CARDS.benCredit;
  const old = await issuer.letter(card);
  const chosen = otherPin(old);
  const page = await issuer.signedIn("ben");
  await issuer.changePin(page, card, old, chosen);
  await page.getByTestId("do-view-chip").click();
  await stepUp(page, "ben");
  await page.getByTestId("view-show").click();
  await page.getByTestId("view-hide").waitFor();
  assert.equal(await page.getByTestId("revealed-pin").innerText().then(digitsOf), old);

  assert.equal(issuer.terminal("pos", card, { pin: old, amount: "3.00" }).approved, true);
  assert.equal(issuer.terminal("pos", card, { pin: chosen, amount: "3.00" }).approved, true);
  await issuer.openPin(page, card);
  await page.getByTestId("do-view").waitFor();
  assert.equal(await page.getByTestId("do-view-chip").count(), 0, "the previous PIN is forgotten");
});

async function show(page) {
  await issuer.openPin(page, CARD, "view");
  await page.waitForURL(/\/step-up/);
  await stepUp(page, "ada");
  await page.getByTestId("view-show").click();
  await page.getByTestId("view-hide").waitFor();
}

function digitsOf(text) {
  return text.replace(/\D/g, "");
}

/** Hears what the page asks and is answered, programs and styles aside. */
function listen(page) {
  const heard = [];
  page.on("response", (response) => {
    const request = response.request();
    if (["script", "stylesheet", "image"].includes(request.resourceType())) return;
    const address = request.url();
    heard.push({ address, body: request.postData() ?? "" });
    heard.push(response.text().then((body) => ({ address, body }), () => ({ address, body: "" })));
  });
  return () => Promise.all(heard);
}

/**
 * Whether a message carries the PIN: as digits between anything but digits, or as a clear PIN block (ISO 9564-1 formats
 * 0 and 4 before they are masked) in hexadecimal digits. Digits inside random hexadecimal text prove nothing.
 */
function carries({ address, body }, pin) {
  const text = `${new URL(address, "http://bank").search}\n${body}`;
  const blocks = new RegExp(`[04]4${pin}(f{10}|a{10})`, "i");
  return blocks.test(text) || new RegExp(`(?<!\\d)${pin}(?!\\d)`).test(text.replace(/[0-9a-f]{16,}/gi, ""));
}
