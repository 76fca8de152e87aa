// The PIN envelope, on the cardmember's device: bytes as in crates/hsm/src/seam.rs (SealedEnvelope).
//
// P-256 ECDH with a one-time key, one-step concat KDF (SP 800-56A rev. 3, 5.8.2.1), AES-128, ISO 9564-1:2017
// format 4. WebCrypto only. PINs are Uint8Arrays of digits 0 to 9, and every buffer that held one is wiped.

const BLOCK = 16;
const ascii = new TextEncoder();

/** @param {string} hex @returns {Uint8Array} */
export function fromHex(hex) {
  if (typeof hex !== "string" || hex.length % 2 !== 0 || /[^0-9a-f]/.test(hex)) {
    throw new TypeError("lower-case hexadecimal digits are wanted");
  }
  return Uint8Array.from({ length: hex.length / 2 }, (_, at) => Number.parseInt(hex.slice(2 * at, 2 * at + 2), 16));
}

/** @param {Uint8Array} bytes @returns {string} */
export function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The HSM's signature doesn't fit its offer, or the offer is for something else. */
export class OfferRefused extends Error {}

/**
 * Reads an offer, once it is sure that the HSM made it, for this operation.
 *
 * @param {{nonce: string, operation: string, account: string, expires_ms: number, hsm_public: string,
 *   signature: string}} offer as the server sends it
 * @param {string} operation what this page is about to do
 * @param {string} identity the HSM's signing key, uncompressed point, hex
 */
export async function verifyOffer(offer, operation, identity) {
  if (offer.operation !== operation || !/^[0-9]{16}$/.test(offer.account) || !Number.isSafeInteger(offer.expires_ms)) {
    throw new OfferRefused("the envelope is for something else");
  }
  const nonce = fromHex(offer.nonce);
  const hsmPublic = fromHex(offer.hsm_public);
  const expires = new Uint8Array(8);
  new DataView(expires.buffer).setBigInt64(0, BigInt(offer.expires_ms));
  const message = concat(
    ascii.encode("pinward envelope v1"),
    nonce,
    ascii.encode(offer.operation),
    ascii.encode(offer.account),
    expires,
    hsmPublic,
  );
  const signer = await crypto.subtle.importKey(
    "raw",
    fromHex(identity),
    { name: "ECDSA", namedCurve: "P-256" },
    false,
    ["verify"],
  );
  const algorithm = { name: "ECDSA", hash: "SHA-256" };
  if (!(await crypto.subtle.verify(algorithm, signer, fromHex(offer.signature), message))) {
    throw new OfferRefused("the security module's signature is wrong");
  }
  return { nonce, account: offer.account, hsmPublic };
}

/** A one-time key pair whose private half never leaves the browser's key store. */
export async function makeDevice() {
  const pair = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, false, ["deriveBits"]);
  return { privateKey: pair.privateKey, publicPoint: new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)) };
}

/**
 * The AES key of one role: the leftmost 16 bytes of SHA-256(counter ‖ Z ‖ "pinward" ‖ role ‖ both points ‖ nonce).
 *
 * @param {{nonce: Uint8Array, hsmPublic: Uint8Array}} offer verified
 * @param {{privateKey: CryptoKey, publicPoint: Uint8Array}} device
 * @param {"current" | "new" | "reveal"} role
 * @returns {Promise<CryptoKey>} non-extractable
 */
export async function roleKey(offer, device, role) {
  const curve = { name: "ECDH", namedCurve: "P-256" };
  const hsmKey = await crypto.subtle.importKey("raw", offer.hsmPublic, curve, false, []);
  const shared = new Uint8Array(
    await crypto.subtle.deriveBits({ name: "ECDH", public: hsmKey }, device.privateKey, 256),
  );
  const input = concat(
    Uint8Array.of(0, 0, 0, 1),
    shared,
    ascii.encode("pinward"),
    ascii.encode(role),
    device.publicPoint,
    offer.hsmPublic,
    offer.nonce,
  );
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", input));
  const key = await crypto.subtle.importKey("raw", digest.subarray(0, BLOCK), "AES-CBC", false, ["encrypt", "decrypt"]);
  wipe(shared, input, digest);
  return key;
}

/**
 * Seals a PIN: E(E(PIN field) ⊕ account field), which is the second block of CBC with a zero vector.
 *
 * @param {CryptoKey} key from roleKey
 * @param {Uint8Array} digits 4 to 12
 * @param {string} account 16 digits
 * @param {Uint8Array} fill 8 bytes, random but in tests
 * @returns {Promise<Uint8Array>} 16 bytes
 */
export async function sealPin(key, digits, account, fill = crypto.getRandomValues(new Uint8Array(8))) {
  const fields = concat(pinField(digits, fill), accountField(account));
  const iv = new Uint8Array(BLOCK);
  const cbc = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-CBC", iv }, key, fields));
  wipe(fields);
  return cbc.slice(BLOCK, 2 * BLOCK);
}

/**
 * Opens a revealed PIN. Refuses a block that isn't ISO format 4.
 *
 * @param {CryptoKey} key of the role "reveal"
 * @param {Uint8Array} block 16 bytes
 * @param {string} account 16 digits
 * @returns {Promise<Uint8Array>} the digits, to be wiped by the caller
 */
export async function openPin(key, block, account) {
  const intermediate = await decryptBlock(key, block);
  const field = await decryptBlock(key, xor(intermediate, accountField(account)));
  const length = field[0] & 0x0f;
  const digits = new Uint8Array(12);
  for (let place = 0; place < 12; place += 1) {
    digits[place] = nibble(field, place + 2);
  }
  const fits = field[0] >> 4 === 4 && length >= 4 && length <= 12 && digits.subarray(0, length).every((digit) => digit < 10);
  const filled = fits && [...Array(14 - length).keys()].every((place) => nibble(field, 2 + length + place) === 0xa);
  const pin = digits.slice(0, filled ? length : 0);
  wipe(intermediate, field, digits);
  if (!filled) {
    throw new OfferRefused("the revealed PIN can't be read");
  }
  return pin;
}

/** Overwrites what held a secret. */
export function wipe(...buffers) {
  for (const buffer of buffers) {
    buffer.fill(0);
  }
}

function pinField(digits, fill) {
  const field = new Uint8Array(BLOCK).fill(0xaa);
  field[0] = 0x40 | digits.length;
  digits.forEach((digit, place) => {
    const at = 1 + (place >> 1);
    field[at] = place % 2 === 0 ? (digit << 4) | (field[at] & 0x0f) : (field[at] & 0xf0) | digit;
  });
  field.set(fill, 8);
  return field;
}

function accountField(account) {
  return fromHex(`4${account}`.padEnd(2 * BLOCK, "0"));
}

// One block without a chain: WebCrypto has no ECB, and takes off padding. So a second block is made that will
// decrypt to a whole block of padding: the encryption of nothing, with the first block as its vector.
async function decryptBlock(key, block) {
  const padding = await crypto.subtle.encrypt({ name: "AES-CBC", iv: block }, key, new Uint8Array(0));
  const iv = new Uint8Array(BLOCK);
  return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-CBC", iv }, key, concat(block, new Uint8Array(padding))));
}

function nibble(bytes, at) {
  return at % 2 === 0 ? bytes[at >> 1] >> 4 : bytes[at >> 1] & 0x0f;
}

function xor(left, right) {
  return left.map((byte, at) => byte ^ right[at]);
}

function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
