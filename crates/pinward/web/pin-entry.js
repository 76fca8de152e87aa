// A PIN field: digits live in a Uint8Array, the input shows bullets only, and the boxes are drawn from its length.

import { guidance } from "./guidance.js";
import { wipe } from "./envelope.js";

const BULLET = "\u2022";

/** The digits of one PIN while it is keyed. No string of them is made here. */
export class PinDigits {
  #digits;
  #count = 0;

  /** @param {number} wanted how many digits the PIN has */
  constructor(wanted) {
    this.#digits = new Uint8Array(wanted);
  }

  get count() {
    return this.#count;
  }

  get isComplete() {
    return this.#count === this.#digits.length;
  }

  /** Adds a digit, 0 to 9; a full PIN takes no more. */
  push(digit) {
    if (!this.isComplete && Number.isInteger(digit) && digit >= 0 && digit <= 9) {
      this.#digits[this.#count] = digit;
      this.#count += 1;
    }
  }

  /** Takes the last digit away. */
  pop() {
    if (this.#count > 0) {
      this.#count -= 1;
      this.#digits[this.#count] = 0;
    }
  }

  clear() {
    wipe(this.#digits);
    this.#count = 0;
  }

  /** The digits themselves: not a copy, so that clear() wipes the only ones. */
  expose() {
    return this.#digits.subarray(0, this.#count);
  }
}

/** Binds a field of the page to its digits. */
export class PinField {
  #field;
  #input;
  #boxes;
  #guide;
  #error;
  #shown = false;

  /** @param {HTMLElement} field an element with data-pin */
  constructor(field) {
    this.#field = field;
    this.#input = field.querySelector("input");
    this.#boxes = field.querySelectorAll(".boxes-drawn span");
    this.#guide = field.querySelector(".guide");
    this.#error = field.querySelector(".error");
    this.digits = new PinDigits(Number(field.dataset.digits));
    this.#input.addEventListener("beforeinput", (event) => this.#beforeInput(event));
    this.#input.addEventListener("input", () => this.#takeOver());
    this.#input.addEventListener("focus", () => this.#caretToEnd());
    this.#draw();
  }

  get id() {
    return this.#input.id;
  }

  focus() {
    this.#input.focus();
  }

  /** A key of the keypad on screen. */
  key(key) {
    if (key === "clear") {
      this.digits.clear();
    } else if (key === "back") {
      this.digits.pop();
    } else {
      this.digits.push(Number(key));
    }
    this.#changed();
  }

  clear() {
    this.digits.clear();
    this.#changed();
  }

  /** @param {boolean} shown whether digits are seen instead of bullets */
  show(shown) {
    this.#shown = shown;
    this.#draw();
  }

  /** @param {boolean} open whether the keypad on screen is in use */
  useKeypad(open) {
    this.#input.inputMode = open ? "none" : "numeric";
  }

  /** Says what to mend; the empty text says that all is well. */
  complain(words) {
    this.#error.textContent = words;
    this.#error.hidden = words === "";
    this.#input.setAttribute("aria-invalid", String(words !== ""));
  }

  /** @param {() => void} then called when the last digit is in */
  onComplete(then) {
    this.#field.addEventListener("pincomplete", then);
  }

  #beforeInput(event) {
    const isEnter = event.inputType === "insertLineBreak"; // sends the form, as in every other field
    if (isEnter || event.isComposing || !event.cancelable) {
      return;
    }
    event.preventDefault();
    if (event.inputType.startsWith("delete")) {
      if (this.#input.selectionEnd - this.#input.selectionStart > 1) {
        this.digits.clear();
      } else {
        this.digits.pop();
      }
    } else if (event.inputType === "insertText") {
      this.#push(event.data);
    } else {
      this.#guide.textContent = "Type the PIN: it can't be pasted.";
      return;
    }
    this.#changed();
  }

  // Some keyboards can't be asked beforehand: take the digits out of the input at once.
  #takeOver() {
    const text = this.#input.value;
    const bullets = [...text].filter((character) => character === BULLET).length;
    while (this.digits.count > bullets) {
      this.digits.pop();
    }
    this.#push(text);
    this.#changed();
  }

  #push(text) {
    for (const character of text ?? "") {
      if (character >= "0" && character <= "9") {
        this.digits.push(character.charCodeAt(0) - 48);
      }
    }
  }

  #changed() {
    this.complain("");
    this.#draw();
    const guided = "guided" in this.#field.dataset && this.digits.isComplete;
    this.#guide.textContent = (guided && guidance(this.digits.expose())?.words) || "";
    if (this.digits.isComplete) {
      this.#field.dispatchEvent(new Event("pincomplete"));
    }
  }

  #draw() {
    const digits = this.digits.expose();
    this.#boxes.forEach((box, place) => {
      box.textContent = place >= digits.length ? "" : this.#shown ? digits[place] : BULLET;
      box.classList.toggle("filled", place < digits.length);
      box.classList.toggle("next", place === digits.length);
    });
    this.#input.value = BULLET.repeat(digits.length);
    this.#caretToEnd();
  }

  #caretToEnd() {
    const end = this.#input.value.length;
    if (document.activeElement === this.#input) {
      this.#input.setSelectionRange(end, end);
    }
  }
}
