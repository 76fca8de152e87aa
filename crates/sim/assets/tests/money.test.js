import assert from "node:assert/strict";
import { test } from "node:test";

import { minorUnits, money } from "../money.js";

test("amounts are read with point or comma, and nothing else is an amount", () => {
  const rows = [
    ["24.00", 2400], ["24", 2400], ["24,5", 2450], [" 0.01 ", 1], ["9999.99", 999999], ["1.1", 110],
    ["0", null], ["0.00", null], ["10000", null], ["1.234", null], ["-1", null], ["1e3", null], ["", null], ["€5", null],
  ];
  for (const [typed, minor] of rows) assert.equal(minorUnits(typed), minor, typed);
});

test("an amount is shown with two decimals", () => {
  assert.deepEqual([money(1), money(2450)], ["€0.01", "€24.50"]);
});
