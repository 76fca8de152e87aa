// Stopping, starting again, starting twice, starting over.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { after, test } from "node:test";

import { CARDS, Issuer, PROGRAM, freePorts, headline, isFree, otherPin, run, typePin } from "./issuer.js";

const CARD = CARDS.adaCredit;

const issuer = await Issuer.open();
after(() => issuer.close());

test("what was done is there after a restart", async () => {
  const old = await issuer.letter(CARD);
  const chosen = otherPin(old);
  await issuer.changePin(await issuer.signedIn("ada"), CARD, old, chosen);
  assert.equal(issuer.terminal("pos", CARD, { pin: old, amount: "5.00" }).approved, true);
  const before = issuer.status(CARD);

  assert.equal(await issuer.stop(), 0);
  for (const port of Object.values(issuer.ports)) assert.equal(await isFree(port), true, `${port} is free again`);
  await issuer.start();

  assert.deepEqual(issuer.status(CARD), before);
  assert.equal(issuer.terminal("atm", CARD, { pin: chosen }).approved, true);
  await headline(await issuer.wallet(await issuer.page(), CARD), "Your PIN is up to date everywhere.");
  assert.match(issuer.verifyAudit(), /The audit chain holds/);
});

test("an envelope that was open during a restart is void, and says what to do", async () => {
  const card = CARDS.benCredit;
  const old = await issuer.letter(card);
  const page = await issuer.signedIn("ben");
  await issuer.openPin(page, card, "change");
  await page.route("**/pin/change", async (route) => {
    await issuer.stop();
    await issuer.start();
    await route.continue();
  }, { times: 1 });
  await change(page, old, "8305");
  await page.getByTestId("error-summary").filter({ hasText: "Nothing was changed. Enter the PIN again." }).waitFor();
  assert.equal(issuer.status(card).host.version, 1);
  assert.equal(issuer.status(card).host.tries_left, 3);

  await change(page, old, "8305");
  await page.getByTestId("done").waitFor();
});

test("a port that is taken is told with its flag, and nothing is left behind", async () => {
  for (const flag of Object.keys(issuer.ports)) {
    const ports = { ...(await freePorts()), [flag]: issuer.ports[flag] };
    const data = `${issuer.data}-beside`;
    const flags = Object.entries(ports).map(([name, port]) => `--${name}=127.0.0.1:${port}`);
    const { code, stderr } = run(["demo", "--data", data, ...flags]);
    assert.equal(code, 69);
    assert.match(stderr, new RegExp(`can't listen on 127\\.0\\.0\\.1:${ports[flag]} .*choose another with --${flag}\\b`));
    assert.equal(existsSync(data), false);
    for (const name of Object.keys(ports).filter((name) => name !== flag)) assert.equal(await isFree(ports[name]), true);
  }
});

test("a second demo over the same data is refused", async () => {
  const flags = Object.entries(await freePorts()).map(([name, port]) => `--${name}=127.0.0.1:${port}`);
  const { code, stderr } = run(["demo", "--data", issuer.data, ...flags]);
  assert.equal(code, 69);
  assert.match(stderr, /a demo runs over .* already; --data chooses another/);
});

test("--fresh asks before it deletes", async () => {
  const before = issuer.status(CARD);
  await issuer.stop();
  const flags = ["demo", "--data", issuer.data, "--fresh", ...issuer.portFlags()];

  const unasked = run(flags);
  assert.equal(unasked.code, 2);
  assert.match(unasked.stderr, /without one, add --yes/);

  const command = [PROGRAM, ...flags].map((word) => `'${word}'`).join(" ");
  const asked = spawnSync("script", ["--quiet", "--return", "--command", command, "/dev/null"], { input: "n\n", encoding: "utf8", timeout: 15_000 });
  assert.match(asked.stdout, /Delete .* with all its keys, cards and mails\? \[y\/N\]/);
  assert.match(asked.stdout, /nothing was deleted/);
  assert.equal(asked.status, 1);
  assert.deepEqual(issuer.status(CARD), before);

  await issuer.start(["--fresh", "--yes"]);
  const [{ card }] = (await issuer.sandboxState()).cards.filter(({ last_four }) => last_four === CARD);
  assert.notEqual(card, before.card, "another issuer, with other cards");
});

async function change(page, current, chosen) {
  await typePin(page, "current-pin", current);
  await typePin(page, "new-pin", chosen);
  await typePin(page, "repeat-pin", chosen);
  await page.getByTestId("pin-submit").click();
}
