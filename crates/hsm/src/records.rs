//! What the HSM makes for the store: card keys, sealed PANs, MACs of card states and of the audit head.

use cards::{CardKey, CardRef, CardState, Pan, Psn, SealedPan};
use paycrypto::account::AccountDigits;
use paycrypto::aes_key::AesKey;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::dice;
use crate::key_material::HmacKey;
use crate::keyring::KeyRing;
use crate::seam::{HsmCard, HsmRefusal, KeyPurpose, StateMac, StateToSeal};

const PAN_LEN_MAX_DIGITS: usize = 19;
const NO_DIGIT: u8 = 0x0F;

/// Both MACs are under one key: what they cover starts differently.
const STATE_LABEL: &[u8] = b"pinward card state v2";
const AUDIT_LABEL: &[u8] = b"pinward audit head v1";

/// HMAC-SHA-256 of the PAN's ASCII digits: 8 bytes of row number, big-endian, and 24 of check.
pub(crate) fn card_key(index_key: &HmacKey, pan: &Pan) -> CardKey {
    let mac = index_key.mac(pan.expose_digits().as_bytes());
    let (row, check) = mac.split_first_chunk::<8>().expect("the MAC has 32 bytes");
    CardKey {
        row: CardRef(u64::from_be_bytes(*row)),
        check: check.try_into().expect("24 of the 32 bytes are left"),
    }
}

/// Seals a PAN as one AES block.
///
/// | part | bytes |
/// |---|---|
/// | number of digits | 1 |
/// | digits, two per byte, then `F` up to 20 nibbles | 10 |
/// | random | 5 |
///
/// It says nothing about its authenticity: the MAC of the card state covers it.
pub(crate) fn seal_pan(key: &AesKey, digits: &str) -> SealedPan {
    let [a, b, c, d, e] = dice::bytes();
    let mut block = Zeroizing::new([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d, e]);
    let mut nibbles = digits
        .bytes()
        .map(|digit| digit - b'0')
        .chain(std::iter::repeat(NO_DIGIT));
    let mut pairs = std::iter::from_fn(|| Some(nibbles.next()? << 4 | nibbles.next()?));
    let len = u8::try_from(digits.len()).expect("a PAN has at most 19 digits");
    let [first, rest @ ..] = &mut *block;
    *first = len;
    for byte in rest.iter_mut().take(10) {
        *byte = pairs.next().expect("the nibbles don't end");
    }
    SealedPan(key.encrypt_block(*block))
}

/// The digits of a sealed PAN, ASCII. `None` when it was sealed under another key.
fn open_pan(key: &AesKey, sealed: SealedPan) -> Option<Zeroizing<String>> {
    let block = Zeroizing::new(key.decrypt_block(sealed.0));
    let (&len, rest) = block.split_first()?;
    let len = usize::from(len);
    let nibbles = rest.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
    let digits: Zeroizing<String> = Zeroizing::new(
        nibbles
            .take(len)
            .map(|nibble| char::from(b'0' + nibble))
            .collect(),
    );
    let all_digits = digits.bytes().all(|digit| digit.is_ascii_digit());
    (len <= PAN_LEN_MAX_DIGITS && all_digits).then_some(digits)
}

/// AES-CMAC over label, row (8 bytes), check (24), sealed PAN (16), PSN (1), the number of bytes of the particulars (4,
/// big-endian), the particulars and the encoded state.
pub(crate) fn state_mac(key: &AesKey, card: &StateToSeal) -> StateMac {
    let StateToSeal {
        key: card_key,
        pan,
        psn,
        particulars,
        state,
    } = card;
    mac_of(key, card_key, *pan, *psn, [particulars, state])
}

fn mac_of(
    key: &AesKey,
    card: &CardKey,
    pan: SealedPan,
    psn: Psn,
    [particulars, state]: [&[u8]; 2],
) -> StateMac {
    let len = u32::try_from(particulars.len()).expect("a frame of the desk's is shorter");
    let message = [
        STATE_LABEL,
        &card.row.0.to_be_bytes(),
        &card.check,
        &pan.0,
        &[psn.number()],
        &len.to_be_bytes(),
        particulars,
        state,
    ]
    .concat();
    StateMac(key.cmac(&message))
}

/// AES-CMAC over label, sequence number (8 bytes, big-endian) and hash (32).
pub(crate) fn audit_mac(key: &AesKey, sequence: u64, hash: &[u8; 32]) -> [u8; 16] {
    key.cmac(&[AUDIT_LABEL, &sequence.to_be_bytes(), hash].concat())
}

/// A card whose record has been authenticated: what everything else in this room starts from.
pub(crate) struct AuthenticCard {
    digits: Zeroizing<String>,
    pub(crate) account: AccountDigits,
    pub(crate) psn: Psn,
    pub(crate) state: CardState,
}

impl AuthenticCard {
    /// Checks the record's MAC, then opens it.
    ///
    /// Refuses with [`HsmRefusal::CardTampered`] when any part is not what [`state_mac`] was made of.
    pub(crate) fn open(keys: &KeyRing, card: &HsmCard) -> Result<Self, HsmRefusal> {
        let expected = mac_of(
            keys.aes(KeyPurpose::RecordMac)?,
            &card.key,
            card.pan,
            card.psn,
            [&card.particulars, &card.state],
        );
        if !bool::from(expected.0.ct_eq(&card.mac.0)) {
            return Err(HsmRefusal::CardTampered);
        }
        let digits = open_pan(keys.aes(KeyPurpose::PanStorage)?, card.pan).ok_or(HsmRefusal::CardTampered)?;
        Ok(Self {
            account: AccountDigits::parse(&digits).ok_or(HsmRefusal::CardTampered)?,
            digits,
            psn: card.psn,
            state: CardState::decode(&card.state).map_err(|_| HsmRefusal::CardTampered)?,
        })
    }

    /// The PAN's ASCII digits. Every call is a place an auditor will read.
    pub(crate) fn expose_digits(&self) -> &str {
        &self.digits
    }

    /// The PAN, for the one act that gives it out (personalisation).
    pub(crate) fn pan(&self) -> Result<Pan, HsmRefusal> {
        Pan::parse(&self.digits).map_err(|_| HsmRefusal::CardTampered)
    }
}
