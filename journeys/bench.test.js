// The test bench: a card of every chip profile goes through change, unlock, a pulled card and a lost answer, and what
// the bank says of each chip is what the chip holds.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { Issuer } from "./issuer.js";

const PROFILES = 12;
const STORIES = 4;
const ALL_MS = 120_000;

const issuer = await Issuer.open();
after(() => issuer.close());

test("every profile comes through every story, and shows the chip's own evidence", async () => {
  const page = await issuer.page();
  await page.goto(issuer.sandbox);
  await page.getByTestId("bench-link").click();
  assert.equal(await page.getByTestId("bench-row").count(), PROFILES);
  await page.getByTestId("play-all").click();
  const all = PROFILES * STORIES;
  await page.getByTestId("bench-sum").getByText(`${all} of ${all} stories came out right.`).waitFor({ timeout: ALL_MS });

  const row = page.getByTestId("bench-row").filter({ hasText: "M/Chip CVN 20" });
  await row.getByRole("button", { name: "Answer lost" }).click();
  await page.getByTestId("told-title").getByText("M/Chip CVN 20: Answer lost").waitFor();
  const evidence = page.getByTestId("told-evidence");
  await evidence.getByText("not applied: the chip reports none").waitFor();
  await evidence.getByText("applied, says the chip").waitFor();
  await evidence.getByText(/CVR [0-9A-F]{12} in the ARQC/).first().waitFor();
});

test("a story in which the plastic is exchanged behind the bank's back comes out wrong", async () => {
  const page = await issuer.page();
  await page.goto(`${issuer.sandbox}/bench`);
  const row = page.getByTestId("bench-row").filter({ hasText: "Visa CVN 18" });
  await issuer.forgetPlastic("bench", await row.getAttribute("data-card"));
  await row.getByRole("button", { name: "Change" }).click();
  await page.getByTestId("told-verdict").and(page.locator("[data-approved=false]")).waitFor();
});
