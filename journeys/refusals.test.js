// What is refused on the portal, and that each refusal says what to do.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { CARDS, Issuer, otherPin, signIn, typePin } from "./issuer.js";

const issuer = await Issuer.open();
after(() => issuer.close());

test("a wrong current PIN is told with the tries left, and the third locks", async () => {
  const card = CARDS.benCredit;
  const wrong = otherPin(await issuer.letter(card));
  const page = await issuer.signedIn("ben");
  await issuer.openPin(page, card, "change");
  for (const words of ["You have 2 more tries.", "You have 1 more try.", "so your PIN is locked now. Unlock it here."]) {
    await fill(page, wrong, "8305", "8305");
    await page.getByTestId("error-summary").filter({ hasText: words }).waitFor();
  }
  assert.equal(issuer.status(card).host.locked, true);
  await page.getByTestId("error-summary").getByRole("link").click();
  await page.waitForURL(/operation=unlock_pin/);
});

test("two new PINs that differ are told before anything is sent", async () => {
  const page = await issuer.signedIn("ada");
  await issuer.openPin(page, CARDS.adaCredit, "change");
  const asked = requests(page);
  await fill(page, "1111", "8305", "8306");
  await page.getByTestId("error-summary").filter({ hasText: "The two PINs differ. Type the new one again." }).waitFor();
  assert.equal(await page.getByTestId("repeat-pin").getAttribute("aria-invalid"), "true");
  assert.equal(await page.getByTestId("repeat-pin").inputValue(), "");
  assert.equal((await page.getByTestId("new-pin").inputValue()).length, 4, "nothing else is lost");
  assert.deepEqual(asked, []);
  assert.equal(issuer.status(CARDS.adaCredit).host.tries_left, 3);
});

test("what is easy to guess is said while typing and never leaves the device", async () => {
  const page = await issuer.signedIn("ada");
  await issuer.openPin(page, CARDS.adaCredit, "change");
  const asked = requests(page);
  const guide = page.locator("#new-pin-guide");
  await typePin(page, "new-pin", "1234");
  await guide.filter({ hasText: "Many people choose this one" }).waitFor();
  await page.getByTestId("new-pin").press("Backspace");
  await guide.filter({ hasText: /^$/ }).waitFor({ state: "attached" });
  await page.getByTestId("new-pin").press("7");
  await guide.filter({ hasText: /^$/ }).waitFor({ state: "attached" });
  assert.deepEqual(asked, []);
});

test("a request that was answered can't be sent again, and Back shows no digits", async () => {
  const card = CARDS.cleoCredit;
  const page = await issuer.signedIn("cleo");
  await page.goto(`${issuer.portal}/cards/${issuer.card(card)}/activate`);
  await page.getByTestId("expiry").fill(issuer.status(card).expiry);
  await page.getByTestId("activate").click();
  await page.getByTestId("done").waitFor();

  const sent = page.waitForRequest((request) => request.method() === "POST" && request.url().endsWith("/pin/change"));
  await issuer.changePin(page, card, await issuer.letter(card), "8305");
  const replayed = await page.evaluate(async ({ address, body }) => {
    const answer = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body });
    return { status: answer.status, ...(await answer.json()).error };
  }, await sent.then((request) => ({ address: request.url(), body: request.postData() })));
  assert.equal(replayed.status, 409);
  assert.equal(replayed.code, "envelope_invalid");
  assert.match(replayed.message, /Nothing was changed\. Enter the PIN again\./);
  assert.equal(issuer.status(card).host.version, 2);
  assert.equal(issuer.status(card).host.tries_left, 3);

  await page.goBack();
  await page.getByTestId("pin-form").waitFor();
  for (const field of ["current-pin", "new-pin", "repeat-pin"]) assert.equal(await page.getByTestId(field).inputValue(), "");
});

test("another's card is as absent as one that isn't there", async () => {
  const page = await issuer.signedIn("ada");
  const seen = [];
  for (const card of [issuer.card(CARDS.benCredit), "0123456789abcdef"]) {
    for (const place of ["pin", "pin/change", "pin/create", "pin/view", "pin/unlock", "activate"]) {
      const answer = await page.goto(`${issuer.portal}/cards/${card}/${place}`);
      assert.equal(answer.status(), 404, place);
      assert.equal(await page.getByTestId("told").getAttribute("data-code"), "card_not_found");
      seen.push(await page.locator("main").innerText());
    }
  }
  assert.equal(new Set(seen).size, 1, "and told in the same words");
});

test("a wrong user ID and a wrong password are told in the same words", async () => {
  const words = [];
  for (const [userId, password] of [["ada", "wrong"], ["nobody", "larkfield-ada"]]) {
    const page = await issuer.page();
    await page.goto(issuer.portal);
    const answered = page.waitForResponse((answer) => answer.request().method() === "POST");
    await signIn(page, userId, password);
    await page.getByTestId("error-summary").waitFor();
    words.push([(await answered).status(), await page.locator("main").innerText()]);
  }
  assert.deepEqual(words[0], words[1]);
});

test("a PIN can be changed with the keyboard alone", async () => {
  const card = CARDS.adaCredit;
  const old = await issuer.letter(card);
  const chosen = otherPin(old);
  const page = await issuer.page();
  await page.goto(issuer.portal);
  await tabTo(page, page.getByTestId("user-id"));
  await page.keyboard.type("ada");
  await tabTo(page, page.getByTestId("password"));
  await page.keyboard.type("larkfield-ada");
  await page.keyboard.press("Enter");
  await page.getByTestId("sign-out").waitFor();
  await tabTo(page, page.locator(`[data-card="${issuer.card(card)}"]`).getByTestId("manage-pin"));
  await page.keyboard.press("Enter");
  await page.getByTestId("do-change").waitFor();
  await tabTo(page, page.getByTestId("do-change"));
  await page.keyboard.press("Enter");
  await page.getByTestId("pin-form").waitFor();
  await tabTo(page, page.getByTestId("current-pin"));
  await page.keyboard.type(old + chosen + chosen);
  await page.keyboard.press("Enter");
  await page.getByTestId("done").filter({ hasText: "Your new PIN is set." }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("data-test")), "done", "the focus is on what happened");
  assert.equal(issuer.terminal("atm", card, { pin: chosen }).approved, true);
});

test("an answer that is lost on its way leaves open whether the PIN was changed, and leads to where it shows", async () => {
  const card = CARDS.cleoCredit;
  const { version } = issuer.status(card).host;
  const page = await issuer.signedIn("cleo");
  await issuer.openPin(page, card, "change");
  await page.route("**/pin/envelope", (route) => route.abort());
  await fill(page, "8305", "7351", "7351");
  await page.getByRole("heading", { name: "Your PIN wasn't changed" }).waitFor();
  await page.unroute("**/pin/envelope");

  await page.route("**/pin/change", async (route) => {
    if (route.request().method() === "POST") await route.fetch();
    await route.abort();
  });
  await fill(page, "8305", "7351", "7351");
  await page.getByRole("heading", { name: "We don't know whether your PIN was changed" }).waitFor();
  await page.unroute("**/pin/change");
  await page.getByTestId("error-summary").getByRole("link").click();
  await page.waitForURL(`${issuer.portal}/cards/${issuer.card(card)}/pin`);
  assert.equal(issuer.status(card).host.version, version + 1);
});

async function fill(page, current, chosen, repeated) {
  await typePin(page, "current-pin", current);
  await typePin(page, "new-pin", chosen);
  await typePin(page, "repeat-pin", repeated);
  await page.getByTestId("pin-submit").click();
}

/** What the page asks for from now on, besides its own icon, which browsers fetch when they like. */
function requests(page) {
  const asked = [];
  page.on("request", (request) => {
    if (!request.url().endsWith("/mark.svg")) asked.push(request.url());
  });
  return asked;
}

/** Presses Tab until the focus is there. */
async function tabTo(page, goal) {
  for (let presses = 0; presses < 40; presses += 1) {
    await page.keyboard.press("Tab");
    if (await goal.evaluate((element) => element === document.activeElement)) return;
  }
  assert.fail(`the keyboard doesn't reach ${goal}`);
}
