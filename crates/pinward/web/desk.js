// Asks the PIN desk. Answers are JSON; refusals carry a stable code and words that say what to do.

import { makeDevice, roleKey, toHex, verifyOffer } from "./envelope.js";

/** The desk said no, or couldn't be reached. */
export class DeskRefusal extends Error {
  /** @param {string} code @param {string} words */
  constructor(code, words) {
    super(words);
    this.code = code;
  }

  /** Whether what was asked for may have been done all the same. */
  get leavesOpen() {
    return ["unreachable", "fault"].includes(this.code);
  }
}

const UNREACHABLE = "We couldn't reach the bank. Check your connection and look at your card before you try again: it tells whether a change was made.";
const UNREADABLE = "Something went wrong between you and the bank. Look at your card before you try again: it tells whether a change was made.";

/** @param {string} address @param {object} body @returns {Promise<object>} */
export async function ask(address, body) {
  let response;
  try {
    response = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify(body),
      cache: "no-store",
      credentials: "same-origin",
      redirect: "error",
    });
  } catch {
    throw new DeskRefusal("unreachable", UNREACHABLE);
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new DeskRefusal(answer.error?.code ?? "fault", answer.error?.message ?? UNREADABLE);
  }
  return answer;
}

/**
 * Opens an envelope: a verified offer and a one-time key of this device.
 *
 * @param {string} address of the card's envelopes
 * @param {string} operation
 * @param {string} identity the HSM's signing key, hex
 */
export async function openEnvelope(address, operation, identity) {
  const offer = await verifyOffer(await ask(address, { operation }), operation, identity);
  const device = await makeDevice();
  return {
    account: offer.account,
    key: (role) => roleKey(offer, device, role),
    parts: { nonce: toHex(offer.nonce), device_public: toHex(device.publicPoint) },
  };
}

/** Whether this browser can seal a PIN: WebCrypto is there on secure connections only. */
export function canSeal() {
  return globalThis.isSecureContext === true && globalThis.crypto?.subtle !== undefined;
}

/** Words for anything that went wrong. */
export function words(error) {
  if (error instanceof DeskRefusal) {
    return error.message;
  }
  return "Your browser couldn't seal the PIN safely, so nothing was sent. Reload the page and try again.";
}
