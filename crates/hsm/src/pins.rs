//! Acts on PINs: compare, create, change, reveal, import. The only file in which a clear PIN has a name.

use cards::{Pan, PinReference, SealedPin};
use paycrypto::account::AccountDigits;
use paycrypto::aes_key::AesKey;
use paycrypto::dukpt;
use paycrypto::pin::Pin;
use paycrypto::pinblock::{TdesFormat, decipher_tdes, iso4};
use paycrypto::pvv::{Pvki, verify_pvv};
use paycrypto::tdes_key::Tdes2Key;
use subtle::ConstantTimeEq;

use crate::dice;
use crate::ecdh::{Agreement, Role};
use crate::envelopes::Envelope;
use crate::keyring::KeyRing;
use crate::records::AuthenticCard;
use crate::seam::{
    HsmRefusal, ImportPin, Item, KeyName, KeyPurpose, NewPinVerdict, NewZonePin, PinChange, PinVerdict,
    RevealWhich, RevealedPin, SealedEnvelope, ZonePin, ZonePinFormat,
};

/// Compares a PIN that came from a network with the card's reference.
pub(crate) fn judge(keys: &KeyRing, card: &AuthenticCard, zone_pin: &ZonePin) -> Item<PinVerdict> {
    if card.state.host.reference == PinReference::None {
        return Ok(PinVerdict::NoReference);
    }
    match open_zone_pin(keys, zone_pin, &card.account)? {
        Some(pin) => Ok(match matches_reference(keys, card, &pin)? {
            true => PinVerdict::Match,
            false => PinVerdict::NoMatch,
        }),
        None => Ok(PinVerdict::Unreadable),
    }
}

/// Compares the current PIN of an ATM's change and, only when it matches, seals the new one.
///
/// Everything that can be refused of the new block is refused before the comparison, which then doesn't take place: such
/// a refusal costs no try, so it must not depend on the card's PIN (security.md A6).
pub(crate) fn judge_change(
    keys: &KeyRing,
    card: &AuthenticCard,
    current: &ZonePin,
    new: &NewZonePin,
) -> Item<(Option<PinVerdict>, Option<NewPinVerdict>)> {
    let opened = open_zone_pin(keys, &new.pin, &card.account)?
        .filter(|pin| pin.len_digits() == usize::from(new.len_digits));
    let Some(new) = opened else {
        return Ok((None, Some(NewPinVerdict::Unacceptable)));
    };
    let sealed = seal(keys, &new, &card.account)?;
    let verdict = judge(keys, card, current)?;
    let new_pin = match verdict {
        PinVerdict::Match => Some(NewPinVerdict::Sealed(sealed)),
        PinVerdict::NoMatch | PinVerdict::Unreadable | PinVerdict::NoReference => None,
    };
    Ok((Some(verdict), new_pin))
}

/// Re-encrypts a PIN from its zone key to the PIN storage key, for the same PAN.
pub(crate) fn import(keys: &KeyRing, import: &ImportPin) -> Item<SealedPin> {
    let account = AccountDigits::from(&import.pan);
    let pin = open_zone_pin(keys, &import.pin, &account)?
        .filter(|pin| pin.len_digits() == usize::from(import.len_digits))
        .ok_or(HsmRefusal::PinBlock)?;
    seal(keys, &pin, &account)
}

/// Whether what a PIN is compared with by this reference is there.
pub(crate) fn can_compare(keys: &KeyRing, reference: &PinReference) -> Item<()> {
    match reference {
        PinReference::None => Ok(()),
        PinReference::Sealed(_) => storage_key(keys).map(drop),
        PinReference::Pvv { pvki, .. } => verification_key(keys, *pvki).map(drop),
        PinReference::Ibm3624 { .. } => keys.ibm3624().map(drop),
    }
}

/// Takes the new PIN of an envelope and seals it for the card.
pub(crate) fn create(
    keys: &KeyRing,
    card: &AuthenticCard,
    envelope: &Envelope,
    sealed: &SealedEnvelope,
) -> Result<SealedPin, HsmRefusal> {
    let (None, Some(new)) = (sealed.current_pin, sealed.new_pin) else {
        return Err(HsmRefusal::PinBlock);
    };
    let agreement = envelope.key.agree(&sealed.device_public, &sealed.nonce)?;
    let new = open_new_pin(envelope, &agreement, new)?;
    seal(keys, &new, &card.account)
}

/// Compares the current PIN of an envelope and, only when it matches, seals the new one.
///
/// Everything that can be refused is refused before the comparison: a refusal costs no try, so it must not depend on
/// the card's PIN (security.md A6).
pub(crate) fn change(
    keys: &KeyRing,
    card: &AuthenticCard,
    envelope: &Envelope,
    sealed: &SealedEnvelope,
) -> Result<PinChange, HsmRefusal> {
    let (Some(current), Some(new)) = (sealed.current_pin, sealed.new_pin) else {
        return Err(HsmRefusal::PinBlock);
    };
    let agreement = envelope.key.agree(&sealed.device_public, &sealed.nonce)?;
    let new = open_new_pin(envelope, &agreement, new)?;
    let current = open_pin(envelope, &agreement, Role::Current, current)?;
    let new = seal(keys, &new, &card.account)?;
    match matches_reference(keys, card, &current)? {
        true => Ok(PinChange::Matched(new)),
        false => Ok(PinChange::NoMatch),
    }
}

/// Enciphers a PIN of the card for the device that opened the envelope.
pub(crate) fn reveal(
    keys: &KeyRing,
    card: &AuthenticCard,
    which: RevealWhich,
    envelope: &Envelope,
    sealed: &SealedEnvelope,
) -> Result<RevealedPin, HsmRefusal> {
    if sealed.current_pin.is_some() || sealed.new_pin.is_some() {
        return Err(HsmRefusal::PinBlock);
    }
    let kept = match which {
        RevealWhich::Current => sealed_reference(card),
        RevealWhich::OnChip { version } => card
            .state
            .chip
            .possible()
            .iter()
            .find(|possible| possible.version == version)
            .and_then(|possible| possible.sealed.as_ref()),
    };
    let pin = open_sealed(keys, kept.ok_or(HsmRefusal::Unsupported)?, &card.account)?;
    let agreement = envelope.key.agree(&sealed.device_public, &sealed.nonce)?;
    let key = agreement.pin_key(Role::Reveal);
    Ok(RevealedPin(iso4::encipher(
        &key,
        &pin,
        &envelope.account_digits(),
        &dice::bytes(),
    )))
}

/// Re-encrypts the card's present PIN for the PAN of its replacement.
pub(crate) fn move_to(keys: &KeyRing, card: &AuthenticCard, pan: &Pan) -> Result<SealedPin, HsmRefusal> {
    let pin = reference_pin(keys, card)?;
    seal(keys, &pin, &AccountDigits::from(pan))
}

/// The card's present PIN, for a script or for personalisation.
///
/// Answers [`HsmRefusal::Unsupported`] when there is none or only a verification value.
pub(crate) fn reference_pin(keys: &KeyRing, card: &AuthenticCard) -> Result<Pin, HsmRefusal> {
    let sealed = sealed_reference(card).ok_or(HsmRefusal::Unsupported)?;
    open_sealed(keys, sealed, &card.account)
}

/// The PIN that the chip has by the card's state, while the reference isn't on it or only may be.
///
/// Answers [`HsmRefusal::Unsupported`] where it could be more than one, or none that we have.
pub(crate) fn chips_pin(keys: &KeyRing, card: &AuthenticCard) -> Result<Pin, HsmRefusal> {
    let sealed = card.state.chip.only_beside(card.state.host.version);
    open_sealed(keys, sealed.ok_or(HsmRefusal::Unsupported)?, &card.account)
}

fn sealed_reference(card: &AuthenticCard) -> Option<&SealedPin> {
    match &card.state.host.reference {
        PinReference::Sealed(sealed) => Some(sealed),
        PinReference::None | PinReference::Pvv { .. } | PinReference::Ibm3624 { .. } => None,
    }
}

/// Constant-time comparison. Answers [`HsmRefusal::Unsupported`] when the card has no PIN.
fn matches_reference(keys: &KeyRing, card: &AuthenticCard, pin: &Pin) -> Result<bool, HsmRefusal> {
    match &card.state.host.reference {
        PinReference::None => Err(HsmRefusal::Unsupported),
        PinReference::Sealed(sealed) => {
            let reference = open_sealed(keys, sealed, &card.account)?;
            Ok(reference.ct_eq(pin).into())
        }
        PinReference::Pvv { pvki, pvv } => {
            let key = verification_key(keys, *pvki)?;
            let pvki = Pvki::new(*pvki).ok_or(HsmRefusal::Unsupported)?;
            Ok(verify_pvv(key, pvki, &card.account, pin, *pvv))
        }
        PinReference::Ibm3624 { offset } => {
            let (key, rule) = keys.ibm3624()?;
            Ok(rule.verify(key, card.expose_digits(), pin, offset))
        }
    }
}

/// `None` for every fault of the block and of its key serial number. What the present value of a zone key doesn't open
/// is tried with the former one: that a block made under the one opens under the other has a chance below 10⁻⁷.
fn open_zone_pin(
    keys: &KeyRing,
    zone_pin: &ZonePin,
    account: &AccountDigits,
) -> Result<Option<Pin>, HsmRefusal> {
    match zone_pin.format {
        ZonePinFormat::Iso0 => open_tdes(keys, zone_pin, TdesFormat::Iso0, account),
        ZonePinFormat::Iso3 => open_tdes(keys, zone_pin, TdesFormat::Iso3, account),
        ZonePinFormat::Iso4 => open_aes(keys, zone_pin, account),
    }
}

fn open_tdes(
    keys: &KeyRing,
    zone_pin: &ZonePin,
    format: TdesFormat,
    account: &AccountDigits,
) -> Result<Option<Pin>, HsmRefusal> {
    let name = &zone_pin.zone_key;
    let block = zone_pin.block.as_slice().try_into().ok();
    let open = |key: &Tdes2Key| decipher_tdes(key, format, block?, account).ok();
    match &zone_pin.ksn {
        None => Ok(keys.tdes_readers(name, KeyPurpose::ZonePinTdes)?.find_map(open)),
        Some(ksn) => {
            let base_key = keys.tdes_named(name, KeyPurpose::DukptBaseTdes)?;
            let ksn = ksn.as_slice().try_into().ok().map(dukpt::tdes::Ksn);
            let key = ksn.and_then(|ksn| dukpt::tdes::pin_key(base_key, ksn));
            Ok(key.as_ref().and_then(open))
        }
    }
}

fn open_aes(keys: &KeyRing, zone_pin: &ZonePin, account: &AccountDigits) -> Result<Option<Pin>, HsmRefusal> {
    let name = &zone_pin.zone_key;
    let block = zone_pin.block.as_slice().try_into().ok();
    let open = |key: &AesKey| iso4::decipher(key, block?, account).ok();
    match &zone_pin.ksn {
        None => Ok(keys.aes_readers(name, KeyPurpose::ZonePinAes)?.find_map(open)),
        Some(ksn) => {
            let base_key = keys.aes_named(name, KeyPurpose::DukptBaseAes)?;
            let parts = ksn.split_first_chunk().filter(|(_, counter)| counter.len() == 4);
            let key = parts.and_then(|(id, counter)| {
                let counter = u32::from_be_bytes(counter.try_into().ok()?);
                dukpt::aes::pin_key(base_key, *id, counter)
            });
            Ok(key.as_ref().and_then(open))
        }
    }
}

fn open_new_pin(envelope: &Envelope, agreement: &Agreement, block: [u8; 16]) -> Result<Pin, HsmRefusal> {
    let pin = open_pin(envelope, agreement, Role::New, block)?;
    let right_length = pin.len_digits() == envelope.pin_len_digits;
    right_length.then_some(pin).ok_or(HsmRefusal::PinBlock)
}

fn open_pin(
    envelope: &Envelope,
    agreement: &Agreement,
    role: Role,
    block: [u8; 16],
) -> Result<Pin, HsmRefusal> {
    let key = agreement.pin_key(role);
    iso4::decipher(&key, block, &envelope.account_digits()).map_err(|_| HsmRefusal::PinBlock)
}

fn seal(keys: &KeyRing, pin: &Pin, account: &AccountDigits) -> Result<SealedPin, HsmRefusal> {
    let key = storage_key(keys)?;
    Ok(SealedPin {
        kcv: key.kcv(),
        block: iso4::encipher(key, pin, account, &dice::bytes()),
    })
}

/// Refuses with [`HsmRefusal::NoSuchKey`] a PIN under another storage key, with [`HsmRefusal::CardTampered`] one that
/// was sealed for another PAN.
fn open_sealed(keys: &KeyRing, sealed: &SealedPin, account: &AccountDigits) -> Result<Pin, HsmRefusal> {
    let key = storage_key(keys)?;
    if sealed.kcv != key.kcv() {
        return Err(HsmRefusal::NoSuchKey);
    }
    iso4::decipher(key, sealed.block, account).map_err(|_| HsmRefusal::CardTampered)
}

fn verification_key(keys: &KeyRing, pvki: u8) -> Result<&Tdes2Key, HsmRefusal> {
    keys.tdes_named(&KeyName(format!("pvk-{pvki}")), KeyPurpose::PinVerificationVisa)
}

fn storage_key(keys: &KeyRing) -> Result<&AesKey, HsmRefusal> {
    keys.aes(KeyPurpose::PinStorage)
}
