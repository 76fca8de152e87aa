// The PIN envelope against crates/hsm/vectors/envelope.json, made by an independent implementation.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { OfferRefused, fromHex, makeDevice, openPin, roleKey, sealPin, toHex, verifyOffer, wipe } from "../envelope.js";

const vectors = JSON.parse(await readFile(new URL("../../../hsm/vectors/envelope.json", import.meta.url), "utf8"));

const offer = Object.freeze({
  nonce: vectors.nonce,
  operation: vectors.operation,
  account: vectors.account,
  expires_ms: vectors.expires_ms,
  hsm_public: vectors.hsm_public,
  signature: vectors.signature,
});

const digitsOf = (text) => Uint8Array.from(text, Number);

async function deviceOfVectors() {
  const base64url = (hex) => Buffer.from(hex, "hex").toString("base64url");
  const jwk = {
    kty: "EC",
    crv: "P-256",
    d: base64url(vectors.device_private),
    x: base64url(vectors.device_public.slice(2, 66)),
    y: base64url(vectors.device_public.slice(66)),
  };
  const privateKey = await crypto.subtle.importKey("jwk", jwk, { name: "ECDH", namedCurve: "P-256" }, false, ["deriveBits"]);
  return { privateKey, publicPoint: fromHex(vectors.device_public) };
}

test("the HSM's offer is taken with its own signature", async () => {
  const verified = await verifyOffer(offer, "change_pin", vectors.identity_public);
  assert.equal(toHex(verified.nonce), vectors.nonce);
  assert.equal(verified.account, vectors.account);
});

const flip = (hex) => (hex[0] === "0" ? "1" : "0") + hex.slice(1);

for (const [name, changed] of Object.entries({
  nonce: { nonce: flip(vectors.nonce) },
  account: { account: "9079201735462881" },
  expires_ms: { expires_ms: vectors.expires_ms + 1 },
  hsm_public: { hsm_public: `${vectors.hsm_public.slice(0, -1)}5` },
  signature: { signature: flip(vectors.signature) },
})) {
  test(`an offer whose ${name} was changed is refused`, async () => {
    await assert.rejects(verifyOffer({ ...offer, ...changed }, "change_pin", vectors.identity_public), OfferRefused);
  });
}

test("an offer for another operation is refused, signed as it may be", async () => {
  await assert.rejects(verifyOffer(offer, "view_pin", vectors.identity_public), OfferRefused);
  await assert.rejects(verifyOffer({ ...offer, operation: "view_pin" }, "view_pin", vectors.identity_public), OfferRefused);
});

test("another identity key doesn't vouch for the offer", async () => {
  await assert.rejects(verifyOffer(offer, "change_pin", vectors.device_public), OfferRefused);
});

for (const { role, pin, fill, block } of vectors.blocks) {
  test(`a ${pin.length}-digit PIN is sealed under the ${role} key as in the vectors, and opens again`, async () => {
    const verified = await verifyOffer(offer, "change_pin", vectors.identity_public);
    const key = await roleKey(verified, await deviceOfVectors(), role);
    assert.equal(toHex(await sealPin(key, digitsOf(pin), vectors.account, fromHex(fill))), block);
    assert.deepEqual(await openPin(key, fromHex(block), vectors.account), digitsOf(pin));
  });
}

// source: X9.24-3:2017 supplement p. 31, with psec (domain/pin-and-emv.md 4.3)
test("an ISO 9564 format 4 block is the published one", async () => {
  const key = await crypto.subtle.importKey("raw", fromHex("af8cb133a78f8dc2d1359f18527593fb"), "AES-CBC", false, ["encrypt", "decrypt"]);
  const account = "4111111111111111";
  const block = await sealPin(key, digitsOf("1234"), account, fromHex("2f69adde2e9e7ace"));
  assert.equal(toHex(block), "a912150391ab65a67e52883d81ce2d15");
  assert.deepEqual(await openPin(key, block, account), digitsOf("1234"));
});

test("a block under another key or account is not read as a PIN", async () => {
  const verified = await verifyOffer(offer, "change_pin", vectors.identity_public);
  const device = await deviceOfVectors();
  const [current, reveal] = [vectors.blocks[0], vectors.blocks[4]];
  const key = await roleKey(verified, device, "reveal");
  await assert.rejects(openPin(key, fromHex(current.block), vectors.account), OfferRefused);
  await assert.rejects(openPin(key, fromHex(reveal.block), "9079201735462881"), OfferRefused);
});

test("the device's private key and the role keys can't be taken out", async () => {
  const device = await makeDevice();
  const verified = await verifyOffer(offer, "change_pin", vectors.identity_public);
  const key = await roleKey(verified, device, "new");
  assert.equal(device.privateKey.extractable, false);
  assert.equal(key.extractable, false);
  await assert.rejects(crypto.subtle.exportKey("raw", key));
});

test("sealing the same PIN twice gives different blocks", async () => {
  const verified = await verifyOffer(offer, "change_pin", vectors.identity_public);
  const key = await roleKey(verified, await makeDevice(), "new");
  const [once, again] = [await sealPin(key, digitsOf("7391"), vectors.account), await sealPin(key, digitsOf("7391"), vectors.account)];
  assert.notDeepEqual(once, again);
});

test("every plain buffer that sealing makes is wiped before it answers", async () => {
  const seen = [];
  const { encrypt } = crypto.subtle;
  crypto.subtle.encrypt = function watched(algorithm, key, data) {
    seen.push(data);
    return encrypt.call(crypto.subtle, algorithm, key, data);
  };
  try {
    const verified = await verifyOffer(offer, "change_pin", vectors.identity_public);
    await sealPin(await roleKey(verified, await makeDevice(), "new"), digitsOf("7391"), vectors.account);
  } finally {
    delete crypto.subtle.encrypt;
  }
  assert.equal(seen.length, 1);
  assert.ok(seen[0].every((byte) => byte === 0));
});

test("wiping leaves zeros", () => {
  const digits = digitsOf("7391");
  wipe(digits);
  assert.deepEqual(digits, new Uint8Array(4));
});
