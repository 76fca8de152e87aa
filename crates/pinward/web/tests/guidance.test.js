import assert from "node:assert/strict";
import { test } from "node:test";

import { guidance, same } from "../guidance.js";

const digitsOf = (text) => Uint8Array.from(text, Number);

const TABLE = {
  same_digit: ["1111", "0000", "9999", "777777"],
  popular: ["1234", "1212", "1004", "6969", "2000", "4321"],
  sequence: ["3456", "9876", "7890", "0987", "234567"],
  keypad_line: ["2580", "0852", "1470", "1397", "159357"],
  pair_twice: ["4747", "8383", "583583"],
  year: ["1984", "2024", "1900", "2099"],
  date: ["3112", "1231", "0704", "240787"],
};

for (const [code, pins] of Object.entries(TABLE)) {
  test(`${pins.join(", ")} are told as ${code}`, () => {
    for (const pin of pins) {
      assert.equal(guidance(digitsOf(pin))?.code, code, pin);
    }
  });
}

test("a PIN without a pattern is not spoken of", () => {
  for (const pin of ["7391", "8046", "5937", "9350", "749318"]) {
    assert.equal(guidance(digitsOf(pin)), null, pin);
  }
});

test("two PINs are the same only digit by digit", () => {
  assert.ok(same(digitsOf("7391"), digitsOf("7391")));
  assert.ok(!same(digitsOf("7391"), digitsOf("7390")));
  assert.ok(!same(digitsOf("7391"), digitsOf("739")));
});
