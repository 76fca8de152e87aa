// Takes the pictures of the README from a running demo: `npm run pictures`.

import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { CARDS, Issuer, headline, insertInShop, otherPin } from "./issuer.js";

const FOLDER = fileURLToPath(new URL("../docs/images/", import.meta.url));

await mkdir(FOLDER, { recursive: true });
const issuer = await Issuer.open();
try {
  await take();
} finally {
  await issuer.close();
}

/** The middle of the story: the bank has the new PIN; then the shop has sent it to the chip. */
async function take() {
  const card = CARDS.adaCredit;
  const old = await issuer.letter(card);
  const sandbox = await issuer.wallet(await issuer.page({ width: 1280, height: 960 }), card);
  await issuer.changePin(await issuer.signedIn("ada"), card, old, otherPin(old));
  await headline(sandbox, "Your new PIN is set. Your card's chip still has the previous one.");
  await sandbox.getByTestId("tour-close").click();
  await insertInShop(sandbox, old);
  await headline(sandbox, "Your card was given the new PIN and will confirm it at its next use.");
  await sandbox.evaluate(() => globalThis.scrollTo(0, 0));
  await sandbox.screenshot({ path: `${FOLDER}sandbox.png` });

  await sandbox.goto(`${issuer.sandbox}/bench`);
  await sandbox.getByTestId("play-all").click();
  await sandbox.getByTestId("bench-sum").getByText("48 of 48").waitFor({ timeout: 120_000 });
  const row = sandbox.getByTestId("bench-row").filter({ hasText: "CCD AES" });
  await row.getByRole("button", { name: "Answer lost" }).click();
  await sandbox.getByTestId("told-verdict").waitFor();
  await sandbox.setViewportSize({ width: 1280, height: 1500 });
  await sandbox.evaluate(() => globalThis.scrollTo(0, 0));
  await sandbox.screenshot({ path: `${FOLDER}bench.png` });
}
