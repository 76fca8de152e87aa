//! Keys and PINs are wiped when they go, and are in no text.

use paycrypto::account::AccountDigits;
use paycrypto::aes_key::AesKey;
use paycrypto::cryptogram::AcSession;
use paycrypto::cvn::Cvn;
use paycrypto::emv_key::{EmvAlgorithm, EmvKey};
use paycrypto::ibm3624::ValidationData;
use paycrypto::icc_keys::{CardKeys, IssuerKey, IssuerKeys};
use paycrypto::pin::Pin;
use paycrypto::pinblock::{ClearBlock, TdesFormat, decipher_tdes, encipher_tdes, iso4};
use paycrypto::tdes_key::Tdes2Key;
use paycrypto::tr31::header::{
    Algorithm, Exportability, Header, KeyBlockVersion, KeyContext, KeyUsage, ModeOfUse,
};
use paycrypto::tr31::{Kbpk, UnwrappedKey, unwrap, wrap};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const KEY_BYTE: u8 = 0xA7;
const PIN: &str = "739158";
const ACCOUNT: &str = "4761739482538450";

/// Compiles only where a value of the type wipes itself.
fn wipes_itself<T: ZeroizeOnDrop>() {}

#[test]
fn whatever_holds_a_secret_wipes_itself() {
    wipes_itself::<Pin>();
    wipes_itself::<AccountDigits>();
    wipes_itself::<ValidationData>();
    wipes_itself::<Tdes2Key>();
    wipes_itself::<AesKey>();
    wipes_itself::<ClearBlock>();
    // The key schedules inside the keys, which the keys leave to them.
    wipes_itself::<des::Des>();
    wipes_itself::<aes::Aes128>();
    wipes_itself::<aes::Aes192>();
    wipes_itself::<aes::Aes256>();
    // The one field of an unwrapped key that holds it.
    let _: fn(UnwrappedKey) -> Zeroizing<Vec<u8>> = |unwrapped| unwrapped.key;
}

#[test]
fn a_wiped_pin_and_account_have_no_digit_left() {
    let mut pin = Pin::parse(PIN).unwrap();
    pin.zeroize();
    assert!(pin.expose_digits().is_empty());
    let mut account = AccountDigits::parse(ACCOUNT).unwrap();
    account.zeroize();
    let field = iso4::account_field(&account);
    assert_eq!(field, [0; 16]);
}

#[test]
fn no_key_pin_or_account_is_in_what_is_printed() {
    let tdes = Tdes2Key::from_bytes(&[KEY_BYTE; 16]);
    let aes = AesKey::from_bytes(&[KEY_BYTE; 32]).unwrap();
    let emv = || EmvKey::from_bytes(EmvAlgorithm::Tdes, &[KEY_BYTE; 16]).unwrap();
    let card = CardKeys::new(Cvn::Visa10, emv(), emv(), emv()).unwrap();
    let session = AcSession::new(Cvn::Visa10, card.ac(), 1, [0; 4]).unwrap();
    let issuer_key = IssuerKey::Tdes(&tdes);
    let [ac, smi, smc] = [issuer_key; 3];
    let issuer = IssuerKeys { ac, smi, smc };
    let header = Header {
        version: KeyBlockVersion::D,
        usage: KeyUsage::P0_PIN_ENCRYPTION,
        algorithm: Algorithm::Tdea,
        mode_of_use: ModeOfUse::EncryptDecrypt,
        key_version: *b"00",
        exportability: Exportability::NonExportable,
        key_context: KeyContext::OfWrappingKey,
        optional_blocks: Vec::new(),
    };
    let block = wrap(Kbpk::Aes(&aes), &header, tdes.expose_bytes(), &[9; 14]).unwrap();
    let unwrapped = unwrap(Kbpk::Aes(&aes), &block).unwrap();
    let printed = [
        format!("{tdes:?}"),
        format!("{aes:?}"),
        format!("{:?}", emv()),
        format!("{card:?}"),
        format!("{session:?}"),
        format!("{issuer:?}"),
        format!("{:?}", Kbpk::Aes(&aes)),
        format!("{unwrapped:?}"),
        format!("{:?}", Pin::parse(PIN).unwrap()),
        format!("{:?}", AccountDigits::parse(ACCOUNT).unwrap()),
        format!("{:?}", ValidationData::from_digits(ACCOUNT, 0).unwrap()),
    ];
    for text in printed {
        // As hexadecimal or decimal, and as digits together or apart.
        let told = ["a7", "167", "7391", "7, 3, 9", "4761", "4, 7, 6", "0x47"];
        let lower = text.to_lowercase();
        assert!(!told.iter().any(|secret| lower.contains(secret)), "{text}");
    }
}

#[test]
fn a_pin_block_that_does_not_open_never_says_why() {
    let zpk = Tdes2Key::from_bytes(&[KEY_BYTE; 16]);
    let (account, pin) = (AccountDigits::parse(ACCOUNT).unwrap(), Pin::parse(PIN).unwrap());
    let block = encipher_tdes(&zpk, TdesFormat::Iso0, &pin, &account, &[0; 10]);
    let wrong_format = decipher_tdes(&zpk, TdesFormat::Iso3, block, &account).unwrap_err();
    let wrong_key = decipher_tdes(&Tdes2Key::from_bytes(&[1; 16]), TdesFormat::Iso0, block, &account);
    assert_eq!(wrong_format.to_string(), wrong_key.unwrap_err().to_string());
}
