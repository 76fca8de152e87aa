// @ts-check
/** A keypad and the digits keyed on it. The digits are shown as dots only, and forgotten when they are taken. */

import { make, part, say } from "./dom.js";

export const PIN_LEN_MAX_DIGITS = 12;

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "cancel", "0", "clear", "ok"];
const WORDS = new Map([["cancel", "Cancel"], ["clear", "Clear"], ["ok", "OK"]]);
const KEYBOARD = new Map([["Enter", "ok"], ["Escape", "cancel"], ["Backspace", "clear"], ["Delete", "clear"]]);

/**
 * @typedef {object} Keypad
 * @property {(enabled: boolean) => void} enable lets digits in, or not
 * @property {() => string} take the digits keyed so far; they are forgotten here
 * @property {() => number} length
 */

/**
 * Builds the keys into a device and listens to the keyboard while the focus is in it. With the focus on the device itself,
 * Enter is OK; on a key, it presses that key.
 * @param {HTMLElement} device
 * @param {{ok: () => void, cancel: () => void}} on
 * @returns {Keypad}
 */
export function keypad(device, on) {
  /** @type {string[]} */
  let digits = [];
  let enabled = false;
  const dots = part(device, "pin");
  const root = part(device, "keypad");

  const show = () => {
    say(dots, "•".repeat(digits.length));
    dots.setAttribute("aria-label", `${digits.length} digits keyed`);
  };
  /** @param {string} key */
  const press = (key) => {
    if (key === "cancel") {
      digits = [];
      on.cancel();
    } else if (!enabled) {
      return;
    } else if (key === "ok") {
      on.ok();
    } else if (key === "clear") {
      digits = [];
    } else if (digits.length < PIN_LEN_MAX_DIGITS) {
      digits.push(key);
    }
    show();
  };

  for (const key of KEYS) {
    const word = WORDS.get(key);
    const look = `key-${key}${word ? " key-word" : ""}`;
    const button = make("button", { type: "button", class: look, "data-key": key }, word ?? key);
    button.addEventListener("click", () => press(key));
    root.append(button);
  }
  device.addEventListener("keydown", (event) => {
    const onButton = event.target instanceof HTMLButtonElement;
    const key = /^[0-9]$/.test(event.key) ? event.key : KEYBOARD.get(event.key);
    if (!key || event.ctrlKey || event.metaKey || event.altKey || (event.key === "Enter" && onButton)) return;
    event.preventDefault();
    press(key);
  });

  return {
    enable(state) {
      enabled = state;
      for (const button of root.querySelectorAll("button")) {
        button.disabled = !state && button.getAttribute("data-key") !== "cancel";
      }
    },
    take() {
      const taken = digits.join("");
      digits = [];
      show();
      return taken;
    },
    length: () => digits.length,
  };
}
