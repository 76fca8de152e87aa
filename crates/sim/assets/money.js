// @ts-check
/** Amounts: typed as euros and cents, sent as minor units. */

const AMOUNT_MAX_MINOR = 999999;

/**
 * Minor units of what was typed, or null where it isn't an amount between 0.01 and 9,999.99.
 * @param {string} typed
 * @returns {number | null}
 */
export function minorUnits(typed) {
  const parts = /^\s*(\d{1,4})(?:[.,](\d{1,2}))?\s*$/.exec(typed);
  if (!parts) return null;
  const minor = Number(parts[1]) * 100 + Number((parts[2] ?? "").padEnd(2, "0"));
  return minor >= 1 && minor <= AMOUNT_MAX_MINOR ? minor : null;
}

/**
 * @param {number} minor
 * @returns {string}
 */
export function money(minor) {
  return `€${(minor / 100).toFixed(2)}`;
}
