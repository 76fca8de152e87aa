//! A software HSM with keys that the test knows, cards in it, and a cardmember's device.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code outside of test functions"
)]

use std::fs;

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use cards::{
    CardRef, CardState, CardStatus, ChipVersion, Pan, PinReference, Psn, ReportCounts, ReportKept, Scheme,
    ScriptRules, ScriptTemplate, SealedPin, Timestamp,
};
use data_encoding::HEXUPPER;
use hsm::{
    Cryptogram, EnvelopeOffer, EnvelopeRequest, HsmCard, ImportPin, Journal, JournalFault, JournalRecord,
    KeyAdmin, KeyInfo, KeyName, KeyPurpose, PaymentHsm, PinOperation, RevealedPin, SealedEnvelope,
    SoftwareHsm, StateToSeal, ZonePin, ZonePinFormat,
};
use paycrypto::account::AccountDigits;
use paycrypto::aes_key::AesKey;
use paycrypto::cryptogram::{AcInput, AcSession};
use paycrypto::cvn::Cvn;
use paycrypto::icc_keys::{IccKeyOption, IssuerKey, icc_master_key};
use paycrypto::pin::Pin;
use paycrypto::pinblock::{TdesFormat, encipher_tdes, iso4};
use paycrypto::tdes_key::Tdes2Key;
use paycrypto::tr31::header::{
    Algorithm, Exportability, Header, KeyBlockVersion, KeyContext, KeyUsage, ModeOfUse,
};
use paycrypto::tr31::{Kbpk, padding_len, wrap};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);
pub(crate) const SESSION: [u8; 32] = [7; 32];
pub(crate) const PAN: &str = "4761739001010119";
pub(crate) const OTHER_PAN: &str = "4111111111111111";

pub(crate) const IMK_AC: [u8; 16] = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes();
pub(crate) const ZPK_TDES: [u8; 16] = 0x1123_4567_89AB_CDEF_0EDC_BA98_7654_3211_u128.to_be_bytes();
pub(crate) const ZPK_AES: [u8; 16] = 0xAF8C_B133_A78F_8DC2_D135_9F18_5275_93FB_u128.to_be_bytes();
pub(crate) const PVK: [u8; 16] = IMK_AC;
const COMPONENTS: [[u8; 32]; 2] = [[0x3C; 32], [0x51; 32]];

/// The journal of a desk that has written nothing yet.
pub(crate) struct EmptyJournal;

#[async_trait::async_trait]
impl Journal for EmptyJournal {
    async fn record(&self, _sequence: u64) -> Result<Option<JournalRecord>, JournalFault> {
        Ok(None)
    }

    async fn newest(&self) -> Result<Option<JournalRecord>, JournalFault> {
        Ok(None)
    }
}

pub(crate) fn name(text: &str) -> KeyName {
    KeyName(text.to_owned())
}

/// A provisioned software HSM with `kek`, `zpk-tdes`, `zpk-aes`, `pvk-3` and the issuer cryptogram key of above.
pub(crate) struct World {
    pub(crate) hsm: SoftwareHsm,
    pub(crate) directory: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let hsm = SoftwareHsm::open(directory.path()).unwrap();
        equip(&hsm, &directory).await;
        hsm.provision(NOW).unwrap();
        Self { hsm, directory }
    }

    pub(crate) fn pan(&self) -> Pan {
        Pan::parse(PAN).unwrap()
    }

    pub(crate) async fn card_with_pin(&self, pan: &str, pin: &str) -> HsmCard {
        let sealed = seal_pin(&self.hsm, pan, pin).await;
        card(&self.hsm, pan, PinReference::Sealed(sealed)).await
    }
}

/// Loads the test's keys, the way an operator would.
pub(crate) async fn equip(hsm: &impl KeyAdmin, directory: &TempDir) {
    load_kek(hsm, directory).await;
    import(hsm, "zpk-tdes", KeyPurpose::ZonePinTdes, &ZPK_TDES).await;
    import(hsm, "zpk-aes", KeyPurpose::ZonePinAes, &ZPK_AES).await;
    import(hsm, "pvk-3", KeyPurpose::PinVerificationVisa, &PVK).await;
    import(hsm, "imk-ac", KeyPurpose::IssuerCryptogram, &IMK_AC).await;
}

pub(crate) async fn import(hsm: &impl KeyAdmin, key: &str, purpose: KeyPurpose, bytes: &[u8]) -> KeyInfo {
    let block = key_block(purpose, bytes);
    hsm.import_key(name(key), purpose, block, name("kek"), NOW)
        .await
        .unwrap()
}

async fn load_kek(hsm: &impl KeyAdmin, directory: &TempDir) {
    let paths = COMPONENTS
        .iter()
        .enumerate()
        .map(|(number, bytes)| {
            let path = directory.path().join(format!("component-{number}.txt"));
            let kcv = AesKey::from_bytes(bytes).unwrap().kcv();
            let content = format!("{}\n{}\n", HEXUPPER.encode(bytes), HEXUPPER.encode(&kcv));
            fs::write(&path, content).unwrap();
            path.to_str().unwrap().to_owned()
        })
        .collect();
    hsm.load_components(name("kek"), paths, NOW).await.unwrap();
}

/// The key exchange key, put together from its components.
pub(crate) fn kek() -> AesKey {
    let [first, second] = COMPONENTS;
    let bytes: Vec<u8> = first.iter().zip(second).map(|(a, b)| a ^ b).collect();
    AesKey::from_bytes(&bytes).unwrap()
}

/// A key block under `kek` for a purpose that takes keys from outside.
pub(crate) fn key_block(purpose: KeyPurpose, key: &[u8]) -> String {
    key_block_with(&header(purpose), key)
}

/// The header of [`key_block`].
pub(crate) fn header(purpose: KeyPurpose) -> Header {
    let (usage, algorithm, mode_of_use) = match purpose {
        KeyPurpose::ZonePinTdes => ("P0", Algorithm::Tdea, ModeOfUse::EncryptDecrypt),
        KeyPurpose::ZonePinAes => ("P0", Algorithm::Aes, ModeOfUse::EncryptDecrypt),
        KeyPurpose::PinVerificationVisa => ("V2", Algorithm::Tdea, ModeOfUse::GenerateVerify),
        KeyPurpose::IssuerCryptogram => ("E0", Algorithm::Tdea, ModeOfUse::DeriveKeys),
        KeyPurpose::IssuerScriptIntegrity => ("E2", Algorithm::Tdea, ModeOfUse::DeriveKeys),
        KeyPurpose::IssuerScriptConfidentiality => ("E1", Algorithm::Tdea, ModeOfUse::DeriveKeys),
        KeyPurpose::IssuerCryptogramAes => ("E0", Algorithm::Aes, ModeOfUse::DeriveKeys),
        KeyPurpose::IssuerScriptIntegrityAes => ("E2", Algorithm::Aes, ModeOfUse::DeriveKeys),
        KeyPurpose::IssuerScriptConfidentialityAes => ("E1", Algorithm::Aes, ModeOfUse::DeriveKeys),
        KeyPurpose::PinVerificationIbm3624 => ("V1", Algorithm::Tdea, ModeOfUse::VerifyOnly),
        KeyPurpose::ZoneMacTdes => ("M3", Algorithm::Tdea, ModeOfUse::GenerateVerify),
        KeyPurpose::ZoneMacAes => ("M6", Algorithm::Aes, ModeOfUse::GenerateVerify),
        KeyPurpose::DukptBaseTdes => ("B0", Algorithm::Tdea, ModeOfUse::DeriveKeys),
        KeyPurpose::DukptBaseAes => ("B0", Algorithm::Aes, ModeOfUse::DeriveKeys),
        KeyPurpose::KeyExchange => ("K1", Algorithm::Aes, ModeOfUse::EncryptDecrypt),
        _ => panic!("a local key"),
    };
    Header {
        version: KeyBlockVersion::D,
        usage: KeyUsage::from_code(usage.as_bytes().try_into().unwrap()).unwrap(),
        algorithm,
        mode_of_use,
        key_version: *b"00",
        exportability: Exportability::Exportable,
        key_context: KeyContext::OfWrappingKey,
        optional_blocks: Vec::new(),
    }
}

pub(crate) fn key_block_with(header: &Header, key: &[u8]) -> String {
    let padding = vec![0x5A; padding_len(KeyBlockVersion::D, key.len())];
    wrap(Kbpk::Aes(&kek()), header, key, &padding).unwrap()
}

pub(crate) async fn seal_pin(hsm: &impl PaymentHsm, pan: &str, pin: &str) -> SealedPin {
    let import = ImportPin {
        pan: Pan::parse(pan).unwrap(),
        pin: iso0(pan, pin),
        len_digits: u8::try_from(pin.len()).unwrap(),
    };
    hsm.import_pins(vec![import]).await.unwrap().remove(0).unwrap()
}

pub(crate) async fn card(hsm: &impl PaymentHsm, pan: &str, reference: PinReference) -> HsmCard {
    let state = CardState::delivered(CardStatus::Active, reference, 3);
    card_in_state(hsm, pan, &state).await
}

pub(crate) async fn card_in_state(hsm: &impl PaymentHsm, pan: &str, state: &CardState) -> HsmCard {
    card_with_psn(hsm, pan, Psn::new(1).unwrap(), state).await
}

pub(crate) async fn card_with_psn(hsm: &impl PaymentHsm, pan: &str, psn: Psn, state: &CardState) -> HsmCard {
    let pan = Pan::parse(pan).unwrap();
    let to_seal = StateToSeal {
        key: hsm.card_keys(vec![pan.clone()]).await.unwrap().remove(0),
        pan: hsm.seal_pans(vec![pan]).await.unwrap().remove(0),
        psn,
        particulars: b"cardmember 7".to_vec(),
        state: state.encode(),
    };
    let mac = hsm.seal_states(vec![to_seal.clone()]).await.unwrap().remove(0);
    HsmCard {
        key: to_seal.key,
        pan: to_seal.pan,
        psn: to_seal.psn,
        particulars: to_seal.particulars,
        state: to_seal.state,
        mac,
    }
}

/// A PIN as the ATM network sends it.
pub(crate) fn iso0(pan: &str, pin: &str) -> ZonePin {
    let key = Tdes2Key::from_bytes(&ZPK_TDES);
    let account = AccountDigits::parse(pan).unwrap();
    let pin = Pin::parse(pin).unwrap();
    ZonePin {
        zone_key: name("zpk-tdes"),
        format: ZonePinFormat::Iso0,
        ksn: None,
        block: encipher_tdes(&key, TdesFormat::Iso0, &pin, &account, &[0; 10]).to_vec(),
    }
}

pub(crate) fn iso4(pan: &str, pin: &str) -> ZonePin {
    let key = AesKey::from_bytes(&ZPK_AES).unwrap();
    let account = AccountDigits::parse(pan).unwrap();
    ZonePin {
        zone_key: name("zpk-aes"),
        format: ZonePinFormat::Iso4,
        ksn: None,
        block: iso4::encipher(&key, &Pin::parse(pin).unwrap(), &account, &[3; 8]).to_vec(),
    }
}

/// A cryptogram as the chip of this PAN, sequence number 1, makes it.
pub(crate) fn cryptogram(pan: &str, atc: u16) -> Cryptogram {
    let account = AccountDigits::parse(pan).unwrap();
    let imk = Tdes2Key::from_bytes(&IMK_AC);
    let psn = Psn::new(1).unwrap();
    let icc_key = icc_master_key(IccKeyOption::B, IssuerKey::Tdes(&imk), &account, psn).unwrap();
    let iad = vec![0x06, 0x01, 0x12, 0x03, 0xA0, 0xB8, 0x00];
    let input = input(atc, &iad);
    let session = AcSession::new(Cvn::Visa18, &icc_key, atc, input.unpredictable_number).unwrap();
    Cryptogram {
        scheme: Scheme::VisaCvn18,
        arqc: session.generate(&input).unwrap(),
        data: terminal_data(&input),
        iad,
    }
}

/// A transaction of a terminal.
pub(crate) fn input(atc: u16, iad: &[u8]) -> AcInput<'_> {
    AcInput {
        amount: [0, 0, 0, 0, 0x40, 0],
        amount_other: [0; 6],
        terminal_country: [0x01, 0x24],
        tvr: [0x80, 0, 0x04, 0x80, 0],
        currency: [0x01, 0x24],
        date: [0x19, 0x11, 0x05],
        transaction_type: 1,
        unpredictable_number: [0x52, 0xBF, 0x45, 0x85],
        aip: [0x18, 0],
        atc,
        iad,
    }
}

/// [`Cryptogram::data`].
pub(crate) fn terminal_data(input: &AcInput<'_>) -> Vec<u8> {
    let parts: [&[u8]; 10] = [
        &input.amount,
        &input.amount_other,
        &input.terminal_country,
        &input.tvr,
        &input.currency,
        &input.date,
        &[input.transaction_type],
        &input.unpredictable_number,
        &input.aip,
        &input.atc.to_be_bytes(),
    ];
    parts.concat()
}

pub(crate) fn request(card: CardRef, operation: PinOperation) -> EnvelopeRequest {
    EnvelopeRequest {
        card,
        session: SESSION,
        operation,
        pin_len_digits: 4,
        now: NOW,
    }
}

/// A cardmember's device, written from the text of the seam.
pub(crate) struct Device {
    private: PrivateKey,
    public: Vec<u8>,
    offer: EnvelopeOffer,
}

impl Device {
    pub(crate) fn new(offer: EnvelopeOffer) -> Self {
        let private = PrivateKey::generate(&ECDH_P256).unwrap();
        let public = private.compute_public_key().unwrap().as_ref().to_vec();
        Self {
            private,
            public,
            offer,
        }
    }

    pub(crate) fn envelope(&self, current: Option<&str>, new: Option<&str>) -> SealedEnvelope {
        SealedEnvelope {
            nonce: self.offer.nonce,
            session: SESSION,
            device_public: self.public.clone(),
            current_pin: current.map(|pin| self.seal("current", pin)),
            new_pin: new.map(|pin| self.seal("new", pin)),
            now: NOW,
        }
    }

    pub(crate) fn seal(&self, role: &str, pin: &str) -> [u8; 16] {
        iso4::encipher(
            &self.key(role),
            &Pin::parse(pin).unwrap(),
            &self.account(),
            &[9; 8],
        )
    }

    pub(crate) fn read(&self, revealed: RevealedPin) -> Pin {
        iso4::decipher(&self.key("reveal"), revealed.0, &self.account()).unwrap()
    }

    fn account(&self) -> AccountDigits {
        AccountDigits::parse(&self.offer.account).unwrap()
    }

    fn key(&self, role: &str) -> AesKey {
        let hsm_public = UnparsedPublicKey::new(&ECDH_P256, &self.offer.hsm_public);
        let digest = agree(&self.private, hsm_public, "no agreement", |z| {
            let parts: [&[u8]; 7] = [
                &[0, 0, 0, 1],
                z,
                b"pinward",
                role.as_bytes(),
                &self.public,
                &self.offer.hsm_public,
                &self.offer.nonce,
            ];
            Ok(Sha256::digest(parts.concat()))
        });
        AesKey::from_bytes(&digest.unwrap()[..16]).unwrap()
    }
}

/// A state whose host has PIN version 2 while the chip still holds version 1.
pub(crate) fn changed_state(first: SealedPin, second: SealedPin) -> CardState {
    let mut state = CardState::delivered(CardStatus::Active, PinReference::Sealed(first), 3);
    let rules = ScriptRules {
        report: ReportKept::UntilNextOnline,
        counts: ReportCounts::Received,
        template: ScriptTemplate::AfterFinalAc,
        commands_max: 1,
        attempts_max: 5,
        expires_after_ms: 1_000,
        unblock_by_csu: false,
        csu_tries: 3,
        pin_change_bit: false,
        with_current_pin: false,
        contact_by_field_22: false,
    };
    state.set_pin(second, 3, &rules, Timestamp(0));
    assert!(matches!(
        state.chip.possible(),
        [ChipVersion {
            version: 1,
            sealed: Some(_)
        }]
    ));
    state
}
