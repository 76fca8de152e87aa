//! The enciphered PIN of a PIN CHANGE command: its clear layout and its encipherment, by version.

use zeroize::Zeroizing;

use crate::cvn::PinChangeLayout;
use crate::emv_key::EmvKey;
use crate::icc_keys::CardKeys;
use crate::pin::Pin;
use crate::pinblock::{ClearBlock, decode, decode_iso2, encode, encode_iso2};
use crate::tdes_key::{Tdes2Key, xor8};

/// The clear block of a change that doesn't depend on the current PIN.
pub(super) fn block(keys: &CardKeys, new: &Pin) -> ClearBlock {
    match keys.profile().pin_change {
        PinChangeLayout::Vis => vis_block(keys, new),
        PinChangeLayout::VisIso2 | PinChangeLayout::Iso2 | PinChangeLayout::Ccd => encode_iso2(new),
    }
}

/// The clear block of a change that only a chip holding `current` understands; `None` where no public source shows one.
pub(super) fn block_with_current(keys: &CardKeys, new: &Pin, current: &Pin) -> Option<ClearBlock> {
    takes_current(keys.profile().pin_change)
        .then(|| Zeroizing::new(xor8(*vis_block(keys, new), *left_justified(current))))
}

/// The new PIN of a clear block; `with_current` is the chip's current PIN where the command depends on it.
pub(super) fn open_block(keys: &CardKeys, block: &ClearBlock, with_current: Option<&Pin>) -> Option<Pin> {
    match (keys.profile().pin_change, with_current) {
        (PinChangeLayout::Vis | PinChangeLayout::VisIso2, Some(current)) => {
            let block = Zeroizing::new(xor8(**block, *left_justified(current)));
            open_vis_block(keys, &block)
        }
        (PinChangeLayout::Vis, None) => open_vis_block(keys, block),
        (PinChangeLayout::VisIso2 | PinChangeLayout::Iso2 | PinChangeLayout::Ccd, None) => {
            decode_iso2(block).ok()
        }
        (PinChangeLayout::Iso2 | PinChangeLayout::Ccd, Some(_)) => None,
    }
}

/// Whether a public source shows how a command depends on the current PIN.
pub(super) fn takes_current(layout: PinChangeLayout) -> bool {
    match layout {
        PinChangeLayout::Vis | PinChangeLayout::VisIso2 => true,
        PinChangeLayout::Iso2 | PinChangeLayout::Ccd => false,
    }
}

/// Bytes of the enciphered block.
pub(super) fn enciphered_len_bytes(layout: PinChangeLayout) -> usize {
    match layout {
        PinChangeLayout::Vis | PinChangeLayout::VisIso2 | PinChangeLayout::Ccd => 16,
        PinChangeLayout::Iso2 => 8,
    }
}

pub(super) fn encipher(layout: PinChangeLayout, key: &EmvKey, block: &ClearBlock) -> Vec<u8> {
    let [a, b, c, d, e, f, g, last] = **block;
    match (layout, key) {
        (PinChangeLayout::Vis | PinChangeLayout::VisIso2, key) => {
            let mut wrapped = Zeroizing::new([[8, a, b, c, d, e, f, g], [last, 0x80, 0, 0, 0, 0, 0, 0]]);
            tdes(key).encrypt_ecb(wrapped.as_mut());
            wrapped.concat()
        }
        // One block in CBC with a zero IV.
        (PinChangeLayout::Iso2, key) => tdes(key).encrypt_block(**block).to_vec(),
        (PinChangeLayout::Ccd, EmvKey::Tdes(key)) => {
            let mut padded = Zeroizing::new([**block, PADDING]);
            key.encrypt_cbc([0; 8], padded.as_mut());
            padded.concat()
        }
        // One block in CBC with a zero IV.
        (PinChangeLayout::Ccd, EmvKey::Aes(key)) => {
            let [p, q, r, s, t, u, v, w] = PADDING;
            let padded = Zeroizing::new([a, b, c, d, e, f, g, last, p, q, r, s, t, u, v, w]);
            key.encrypt_block(*padded).to_vec()
        }
    }
}

pub(super) fn decipher(layout: PinChangeLayout, key: &EmvKey, data: &[u8]) -> Option<ClearBlock> {
    let (blocks, _) = data.as_chunks::<8>();
    match (layout, key, blocks) {
        (PinChangeLayout::Vis | PinChangeLayout::VisIso2, key, [first, second]) => {
            let mut wrapped = Zeroizing::new([*first, *second]);
            tdes(key).decrypt_ecb(wrapped.as_mut());
            let [[len, a, b, c, d, e, f, g], [last, padding @ ..]] = *wrapped;
            let right = len == 8 && padding == [0x80, 0, 0, 0, 0, 0, 0];
            right.then(|| Zeroizing::new([a, b, c, d, e, f, g, last]))
        }
        (PinChangeLayout::Iso2, key, [block]) => Some(Zeroizing::new(tdes(key).decrypt_block(*block))),
        (PinChangeLayout::Ccd, EmvKey::Tdes(key), [first, second]) => {
            let mut padded = Zeroizing::new([*first, *second]);
            key.decrypt_cbc([0; 8], padded.as_mut());
            let [block, padding] = *padded;
            (padding == PADDING).then(|| Zeroizing::new(block))
        }
        (PinChangeLayout::Ccd, EmvKey::Aes(key), [_, _]) => {
            let padded = Zeroizing::new(key.decrypt_block(data.try_into().ok()?));
            let (block, padding) = padded.split_first_chunk::<8>()?;
            (padding == PADDING).then(|| Zeroizing::new(*block))
        }
        _ => None,
    }
}

/// Method 2 padding behind a PIN block of 8 bytes.
const PADDING: [u8; 8] = [0x80, 0, 0, 0, 0, 0, 0, 0];

/// `0 N PIN F…F` XOR four zero bytes ‖ rightmost four bytes of the left half of ICC MK-AC.
fn vis_block(keys: &CardKeys, pin: &Pin) -> ClearBlock {
    let field = encode::<8>(0, pin, |_| 0x0F);
    Zeroizing::new(xor8(*field, *authentication_code(keys)))
}

fn open_vis_block(keys: &CardKeys, block: &[u8; 8]) -> Option<Pin> {
    let field = Zeroizing::new(xor8(*block, *authentication_code(keys)));
    decode(0, &field, |fill| fill == 0x0F).ok()
}

fn authentication_code(keys: &CardKeys) -> ClearBlock {
    let [_, _, _, _, a, b, c, d, ..] = *tdes(keys.ac()).expose_bytes();
    Zeroizing::new([0, 0, 0, 0, a, b, c, d])
}

fn tdes(key: &EmvKey) -> &Tdes2Key {
    let key = key.as_tdes();
    key.expect("a sound version with this layout has TDES keys")
}

/// PIN digits two per byte from the left, then zeros.
fn left_justified(pin: &Pin) -> ClearBlock {
    let mut digits = pin.expose_digits().iter();
    let mut block = Zeroizing::new([0; 8]);
    for byte in block.iter_mut() {
        let high = digits.next().copied().unwrap_or_default();
        let low = digits.next().copied().unwrap_or_default();
        *byte = high << 4 | low;
    }
    block
}
