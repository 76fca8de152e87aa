import assert from "node:assert/strict";
import { test } from "node:test";

import { placeArrow } from "../sequence.js";

test("an arrow spans the lanes between its parties and points at the second", () => {
  assert.deepEqual(placeArrow(0, 1), { column: 1, span: 2, way: "right" });
  assert.deepEqual(placeArrow(2, 1), { column: 2, span: 2, way: "left" });
  assert.deepEqual(placeArrow(0, 2), { column: 1, span: 3, way: "right" });
  assert.deepEqual(placeArrow(1, 1), { column: 2, span: 1, way: "self" });
});
