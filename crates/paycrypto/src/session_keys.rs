//! Session keys of one transaction, derived from a card's master keys. EMV Book 2 version 4.4 A1.3 and scheme variants.

use zeroize::Zeroizing;

use crate::aes_key::AesKey;
use crate::emv_key::EmvKey;
use crate::icc_keys::derive_aes;
use crate::tdes_key::{Tdes2Key, halves, joined_with_odd_parity, xor8};

/// EMV common session key, with odd parity: TDES of R with `F0`, and of R with `0F`, in its third byte.
///
/// R is ATC ‖ six `00` for application cryptograms, the application cryptogram for secure messaging.
///
/// Source: EMV Book 2 A1.3.1. Evidence: `vectors/session_keys.txt`, second implementation pyemv.
///
/// ```
/// use paycrypto::session_keys::common;
/// use paycrypto::tdes_key::Tdes2Key;
///
/// let master = Tdes2Key::from_bytes(&0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes());
/// let session = common(&master, [0x00, 0x1C, 0, 0, 0, 0, 0, 0]);
/// assert_eq!(session.expose_bytes(), &0xE9FB_384A_F807_B940_FEDC_EA61_3461_B0C4_u128.to_be_bytes());
/// ```
#[must_use]
pub fn common(master: &Tdes2Key, r: [u8; 8]) -> Tdes2Key {
    let [a, b, _, rest @ ..] = r;
    let with_third = |third| {
        let mut block = [a, b, third, 0, 0, 0, 0, 0];
        for (to, from) in block.iter_mut().skip(3).zip(rest) {
            *to = from;
        }
        Zeroizing::new(master.encrypt_block(block))
    };
    joined_with_odd_parity(with_third(0xF0), with_third(0x0F))
}

/// EMV common session key with AES, as long as the master key.
///
/// R is as for [`common`], followed by eight `00`. An AES-128 key is AES(R) as it stands; longer keys are the leftmost
/// bytes of AES of R with `F0`, and of R with `0F`, in its third byte.
///
/// Source: EMV Book 2 A1.3.1. Evidence: AES of Python's `cryptography`; no public vector is known.
///
/// ```
/// use paycrypto::aes_key::AesKey;
/// use paycrypto::session_keys::common_aes;
///
/// let master = AesKey::from_bytes(&[7; 16]).unwrap();
/// let session = common_aes(&master, [0x00, 0x1C, 0, 0, 0, 0, 0, 0]);
/// assert_eq!(session.expose_bytes(), master.encrypt_block((0x001C_u128 << 112).to_be_bytes()));
/// ```
#[must_use]
pub fn common_aes(master: &AesKey, r: [u8; 8]) -> AesKey {
    let mut first = [0; 16];
    for (to, from) in first.iter_mut().zip(r) {
        *to = from;
    }
    if master.expose_bytes().len() == 16 {
        return derive_aes(master, first, first);
    }
    let [a, b, _, rest @ ..] = first;
    let with_third = |third| {
        let mut block = [a, b, third, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for (to, from) in block.iter_mut().skip(3).zip(rest) {
            *to = from;
        }
        block
    };
    derive_aes(master, with_third(0xF0), with_third(0x0F))
}

/// [`common`] or [`common_aes`], by the key's algorithm.
pub(crate) fn common_of(master: &EmvKey, r: [u8; 8]) -> EmvKey {
    match master {
        EmvKey::Tdes(key) => EmvKey::Tdes(common(key, r)),
        EmvKey::Aes(key) => EmvKey::Aes(common_aes(key, r)),
    }
}

/// R for application cryptograms: ATC ‖ six `00`.
pub(crate) fn r_of_ac(atc: u16) -> [u8; 8] {
    let [high, low] = atc.to_be_bytes();
    [high, low, 0, 0, 0, 0, 0, 0]
}

/// Mastercard SKD session key for application cryptograms: the common method with R = ATC ‖ `0000` ‖ unpredictable number.
///
/// Source: as implemented by pyemv and jPOS. Evidence: `vectors/cvn.txt` (Mastercard 16 and 17, Interac 133).
///
/// ```
/// use paycrypto::session_keys::{common, mastercard_skd};
/// use paycrypto::tdes_key::Tdes2Key;
///
/// let master = Tdes2Key::from_bytes(&[0x23; 16]);
/// let r = [0x00, 0x1C, 0, 0, 0xAB, 0xCD, 0xEF, 0x12];
/// let session = mastercard_skd(&master, 0x001C, [0xAB, 0xCD, 0xEF, 0x12]);
/// assert_eq!(session.expose_bytes(), common(&master, r).expose_bytes());
/// ```
#[must_use]
pub fn mastercard_skd(master: &Tdes2Key, atc: u16, unpredictable_number: [u8; 4]) -> Tdes2Key {
    let [high, low] = atc.to_be_bytes();
    let [a, b, c, d] = unpredictable_number;
    common(master, [high, low, 0, 0, a, b, c, d])
}

/// Visa secure messaging session key (CVN 10 and 18), with odd parity.
///
/// Left half of the master key XOR `00…00` ‖ ATC, right half XOR `00…00` ‖ NOT ATC. Depends on the ATC only: knowing one
/// session key gives the master key away.
///
/// Source: as implemented by pyemv and jPOS. Evidence: `vectors/session_keys.txt`, second implementation pyemv.
///
/// ```
/// use paycrypto::session_keys::visa_atc_xor;
/// use paycrypto::tdes_key::Tdes2Key;
///
/// let master = Tdes2Key::from_bytes(&0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes());
/// let session = visa_atc_xor(&master, 0x001C);
/// assert_eq!(session.expose_bytes(), &0x0123_4567_89AB_CDF2_FEDC_BA98_7654_CDF2_u128.to_be_bytes());
/// ```
#[must_use]
pub fn visa_atc_xor(master: &Tdes2Key, atc: u16) -> Tdes2Key {
    let [left, right] = halves(master.expose_bytes());
    let xor = |half: &[u8; 8], counter: u16| Zeroizing::new(xor8(*half, u64::from(counter).to_be_bytes()));
    joined_with_odd_parity(xor(left, atc), xor(right, !atc))
}

/// Height and branch factor of an EMV2000 key tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeShape {
    /// Height 8, branch factor 4: the recommended shape.
    Height8Branch4,
    /// Height 16, branch factor 2.
    Height16Branch2,
}

/// EMV2000 tree session key, with odd parity. Only for cards of before 2005: EMVCo withdrew the method with SU-46.
///
/// From the master key down to the leaf, each level's 16-byte key comes from its parent X and grandparent Y (for the first
/// level: `iv`): TDES under X of left Y XOR j, and of right Y XOR j XOR `F0`, j being the branch. The session key is the
/// leaf XOR its grandparent.
///
/// Source: EMV2000 (EMV 4.1) Book 2 A1.3.1. Evidence: `vectors/session_keys.txt`, second implementation pyemv.
///
/// ```
/// use paycrypto::session_keys::{TreeShape, emv2000_tree};
/// use paycrypto::tdes_key::Tdes2Key;
///
/// let master = Tdes2Key::from_bytes(&0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes());
/// let session = emv2000_tree(&master, TreeShape::Height8Branch4, [0; 16], 0x001C);
/// assert_eq!(session.expose_bytes(), &0xE5BF_6D10_67F1_94B0_A89B_7F5D_83BC_64A2_u128.to_be_bytes());
/// ```
#[must_use]
pub fn emv2000_tree(master: &Tdes2Key, shape: TreeShape, iv: [u8; 16], atc: u16) -> Tdes2Key {
    let (height, branch_bits) = match shape {
        TreeShape::Height8Branch4 => (8_u32, 2_u32),
        TreeShape::Height16Branch2 => (16, 1),
    };
    let mut grandparent = Zeroizing::new(iv);
    let mut parent = Zeroizing::new(*master.expose_bytes());
    for levels_below in (1..height).rev() {
        let child = tree_child(&parent, &grandparent, branch(atc, branch_bits, levels_below));
        grandparent = std::mem::replace(&mut parent, child);
    }
    let leaf = tree_child(&parent, &grandparent, branch(atc, branch_bits, 0));
    let [leaf_left, leaf_right] = halves(&leaf);
    let [left, right] = halves(&grandparent);
    let xor = |leaf: &[u8; 8], above: &[u8; 8]| Zeroizing::new(xor8(*leaf, *above));
    joined_with_odd_parity(xor(leaf_left, left), xor(leaf_right, right))
}

/// The branch taken at the level that has `levels_below` levels under it: that digit of the ATC in base 4 or 2.
fn branch(atc: u16, branch_bits: u32, levels_below: u32) -> u8 {
    let path = atc >> (branch_bits * levels_below);
    let [_, low] = path.to_be_bytes();
    low & ((1 << branch_bits) - 1)
}

fn tree_child(parent: &[u8; 16], grandparent: &[u8; 16], branch: u8) -> Zeroizing<[u8; 16]> {
    let key = Tdes2Key::from_bytes(parent);
    let [left, right] = halves(grandparent);
    let mut child = Zeroizing::new([0; 16]);
    let (child_left, child_right) = child.split_at_mut(8);
    child_left.copy_from_slice(&key.encrypt_block(xor8(*left, [0, 0, 0, 0, 0, 0, 0, branch])));
    child_right.copy_from_slice(&key.encrypt_block(xor8(*right, [0, 0, 0, 0, 0, 0, 0, branch ^ 0xF0])));
    child
}
