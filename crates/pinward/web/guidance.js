// Says while a PIN is typed what is easy to guess about it. Never leaves the device; never forbids.

const POPULAR = ["1234", "1111", "0000", "1212", "7777", "1004", "2000", "4444", "2222", "6969", "1122", "1313", "2001",
  "1010", "4321", "123456", "654321", "121212", "112233"].map((text) => Array.from(text, Number));

const KEYPAD_LINES = ["2580", "0852", "1470", "0741", "3690", "0963", "1590", "0951", "3570", "0753", "1379", "9731", "7913",
  "3197", "1397", "7931", "1478", "3698", "1236", "1245", "2356", "4578", "5689", "159357", "147258", "147369"].map((text) => Array.from(text, Number));

/** From the most telling to the least: the first that fits is said. */
const RULES = [
  [isRepeated, "same_digit", "The same digit again and again is one of the first things people try."],
  [isPopular, "popular", "Many people choose this one, so it is tried first."],
  [isSequence, "sequence", "Digits in a row are easy to guess."],
  [isKeypadLine, "keypad_line", "This draws a line on the keypad. Others choose it too."],
  [isPairTwice, "pair_twice", "Two digits repeated are easy to guess."],
  [isYear, "year", "This looks like a year. Years of birth are tried early."],
  [isDate, "date", "This looks like a date. Birthdays are tried early."],
];

/**
 * What to say about a PIN, or null.
 *
 * @param {Uint8Array} digits all of them
 * @returns {{code: string, words: string} | null}
 */
export function guidance(digits) {
  const rule = RULES.find(([fits]) => fits(digits));
  return rule ? { code: rule[1], words: rule[2] } : null;
}

/** Whether two PINs have the same digits. */
export function same(left, right) {
  return left.length === right.length && left.every((digit, place) => digit === right[place]);
}

function isRepeated(digits) {
  return digits.every((digit) => digit === digits[0]);
}

function isPopular(digits) {
  return POPULAR.some((popular) => same(digits, popular));
}

function isSequence(digits) {
  const steps = (step) => digits.every((digit, place) => place === 0 || (digits[place - 1] + step + 10) % 10 === digit);
  return steps(1) || steps(-1);
}

function isKeypadLine(digits) {
  return KEYPAD_LINES.some((line) => same(digits, line));
}

function isPairTwice(digits) {
  const half = digits.length / 2;
  return Number.isInteger(half) && same(digits.subarray(0, half), digits.subarray(half));
}

function isYear(digits) {
  return digits.length === 4 && ((digits[0] === 1 && digits[1] === 9) || (digits[0] === 2 && digits[1] === 0));
}

function isDate(digits) {
  const two = (at) => digits[at] * 10 + digits[at + 1];
  const dayAndMonth = (day, month) => day >= 1 && day <= 31 && month >= 1 && month <= 12;
  const fits = digits.length === 4 || digits.length === 6 || digits.length === 8;
  return fits && (dayAndMonth(two(0), two(2)) || dayAndMonth(two(2), two(0)));
}
