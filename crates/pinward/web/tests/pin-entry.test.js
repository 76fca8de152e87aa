import assert from "node:assert/strict";
import { test } from "node:test";

import { PinDigits } from "../pin-entry.js";
import { plan } from "../session.js";

function keyed(text, wanted = 4) {
  const digits = new PinDigits(wanted);
  for (const character of text) {
    digits.push(Number(character));
  }
  return digits;
}

test("a PIN takes as many digits as it has, and nothing but digits", () => {
  const digits = keyed("73915");
  digits.push(Number.NaN);
  digits.push(12);
  assert.deepEqual([...digits.expose()], [7, 3, 9, 1]);
  assert.ok(digits.isComplete);
});

test("deleting wipes the digit that goes", () => {
  const digits = keyed("7391");
  const memory = digits.expose();
  digits.pop();
  assert.equal(digits.count, 3);
  assert.deepEqual([...memory], [7, 3, 9, 0]);
  keyed("").pop();
});

test("clearing wipes the only copy of the digits", () => {
  const digits = keyed("7391");
  const memory = digits.expose();
  digits.clear();
  assert.deepEqual([...memory], [0, 0, 0, 0]);
  assert.equal(digits.count, 0);
});

test("the session warns a minute before it ends, and offers to stay only where that helps", () => {
  assert.deepEqual(plan(300_000, 1_800_000), { warnMs: 240_000, endMs: 300_000, canStay: true });
  assert.deepEqual(plan(300_000, 200_000), { warnMs: 140_000, endMs: 200_000, canStay: false });
  assert.deepEqual(plan(30_000, 1_800_000), { warnMs: 0, endMs: 30_000, canStay: true });
});
