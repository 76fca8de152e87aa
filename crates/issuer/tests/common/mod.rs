//! An issuer for tests: a software HSM with keys that the test knows, a store in a file, and cards with PINs.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod bare_chip;
pub(crate) mod dice;
pub(crate) mod odd_hsm;
pub(crate) mod terminal;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use cards::{
    CardRef, CardRole, CardState, CardStatus, CardmemberId, Expiry, Pan, Programme, ProgrammeId, Psn, Scheme,
    Timestamp,
};
use data_encoding::HEXUPPER;
use hsm::{KeyAdmin, KeyName, KeyPurpose, PinOperation, SealedEnvelope, SoftwareHsm, ZonePin, ZonePinFormat};
use issuer::{
    ActError, Actor, Desk, GrantStepUp, OpenEnvelope,
    authorise::{
        AuthorisationAnswer, AuthorisationRequest, Authority, CardEntry, MessageIdentity, RequestKind,
        Transaction, authorise,
    },
    change_pin::{ChangePin, change_pin},
    import::{NewCard, NewCardPin, import_cardmembers, import_cards},
    open_envelope,
    reverse::{Reversal, ReversalOutcome, reverse},
};
use paycrypto::{
    account::AccountDigits,
    aes_key::AesKey,
    cvn::Cvn,
    emv_key::EmvAlgorithm,
    icc_keys::{CardKeys, IssuerKey, IssuerKeys},
    pin::Pin,
    pinblock::{TdesFormat, encipher_tdes},
    tdes_key::Tdes2Key,
    tr31::{
        Kbpk,
        header::{Algorithm, Exportability, Header, KeyBlockVersion, KeyContext, KeyUsage, ModeOfUse},
        padding_len, wrap,
    },
};
use store::{AuditEvent, AuditRecord, ChainCheck, Commit, NewCardmember, NewState, SqliteStore};

use sim::device::{self, Role};
pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);
pub(crate) const SESSION: [u8; 32] = [7; 32];
pub(crate) const TRIES_MAX: u8 = 3;

/// Issuer master keys and the zone PIN key. Made up.
const IMK_AC: [u8; 16] = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes();
const IMK_SMI: [u8; 16] = 0x2315_6789_AB0D_CEFD_DCBA_9876_5432_1001_u128.to_be_bytes();
const IMK_SMC: [u8; 16] = 0x4567_89AB_CDEF_0123_1032_5476_98BA_DCFE_u128.to_be_bytes();
const ZPK: [u8; 16] = 0x1123_4567_89AB_CDEF_0EDC_BA98_7654_3211_u128.to_be_bytes();
const COMPONENTS: [[u8; 32]; 2] = [[0x3C; 32], [0x51; 32]];

/// What a test does to a good request.
pub(crate) type Spoil = fn(&mut AuthorisationRequest);

/// The desk on real parts, in one directory.
pub(crate) struct Bank {
    pub(crate) desk: Desk,
    messages: AtomicU64,
}

/// A card of the bank, and who holds it.
#[derive(Clone)]
pub(crate) struct TestCard {
    pub(crate) pan: Pan,
    pub(crate) row: CardRef,
    pub(crate) actor: Actor,
}

impl Bank {
    /// Has the network take a transaction back.
    pub(crate) async fn take_back(&self, card: &TestCard, original: &AuthorisationRequest) {
        self.take_back_with(card, original, None).await;
    }

    /// The same with chip data in the reversal.
    pub(crate) async fn take_back_with(
        &self,
        card: &TestCard,
        original: &AuthorisationRequest,
        chip: Option<Vec<u8>>,
    ) {
        let reversal = Reversal {
            message: self.request(card, CardEntry::Contact, None).message,
            original: original.message.identity,
            pan: original.pan.clone(),
            script_results: None,
            chip,
            link: original.link.clone(),
        };
        let outcome = reverse(&self.desk, &reversal, NOW).await.unwrap();
        assert_eq!(outcome, ReversalOutcome::Accepted);
    }

    /// Writes a card's next state with a MAC that isn't the HSM's.
    pub(crate) async fn forge(&self, card: &TestCard, state: &CardState) {
        let commit = Commit {
            card: card.row,
            expected_version: state.version - 1,
            new_state: Some(NewState {
                version: state.version,
                state: state.encode(),
                mac: [0; 16],
            }),
            message: None,
            tombstone: None,
            step_up: None,
            audit: vec![AuditEvent {
                at: NOW,
                kind: "forged",
                card: Some(card.row),
                actor: "operator:0".into(),
                detail: "{}".into(),
            }],
            attempts: Vec::new(),
            notices: Vec::new(),
        };
        self.desk.store.commit(vec![commit]).await.unwrap();
    }

    /// A new bank with one cardmember, signed in, and `count` active cards with this PIN. Gives the cards in order.
    pub(crate) async fn found(
        directory: &Path,
        programme: Programme,
        count: u32,
        pin: &str,
    ) -> (Self, Vec<TestCard>) {
        Self::found_with(directory, programme, count, pin, true).await
    }

    /// The same, with or without issuer master keys for AES.
    pub(crate) async fn found_with(
        directory: &Path,
        programme: Programme,
        count: u32,
        pin: &str,
        aes_keys: bool,
    ) -> (Self, Vec<TestCard>) {
        let hsm = SoftwareHsm::open(directory.join("hsm")).unwrap();
        load_keys(&hsm, directory, aes_keys).await;
        hsm.provision(NOW).unwrap();
        let bank = Self::with(hsm, directory, programme.clone());
        let cardmember = NewCardmember {
            reference: "m-1".into(),
            name: "Ada Byrne".into(),
            email: "ada@example.org".into(),
            user_id: Some("ada".into()),
        };
        import_cardmembers(&bank.desk, vec![cardmember], "operator:0", NOW)
            .await
            .unwrap();
        let cards = (0..count)
            .map(|number| new_card(&programme, &pan(number), pin))
            .collect();
        let report = import_cards(&bank.desk, cards, "operator:0", NOW, &mut |_| {})
            .await
            .unwrap();
        assert_eq!(report.inserted, u64::from(count), "{report:?}");
        let cards = bank.cards(count).await;
        bank.sign_in(cards[0].actor.cardmember).await;
        (bank, cards)
    }

    /// The first `count` cards.
    pub(crate) async fn cards(&self, count: u32) -> Vec<TestCard> {
        let ids = self
            .desk
            .store
            .cardmembers_by_reference(vec!["m-1".into()])
            .await
            .unwrap();
        let actor = Actor {
            cardmember: ids[0].unwrap(),
            session: SESSION,
            channel: "web",
        };
        let pans: Vec<Pan> = (0..count).map(pan).collect();
        let keys = self.desk.hsm.card_keys(pans.clone()).await.unwrap();
        let cards = pans.into_iter().zip(keys);
        cards
            .map(|(pan, key)| TestCard {
                pan,
                row: key.row,
                actor: actor.clone(),
            })
            .collect()
    }

    /// A bank that is there already.
    pub(crate) fn open(directory: &Path, programme: Programme) -> Self {
        let hsm = SoftwareHsm::open(directory.join("hsm")).unwrap();
        Self::with(hsm, directory, programme)
    }

    fn with(hsm: SoftwareHsm, directory: &Path, programme: Programme) -> Self {
        let store = SqliteStore::open(store_path(directory)).unwrap();
        let desk = Desk {
            hsm: Arc::new(hsm),
            store: Arc::new(store),
            programmes: Arc::new(HashMap::from([(programme.id.clone(), programme)])),
            unpredictable_numbers: Arc::default(),
        };
        Self {
            desk,
            messages: AtomicU64::new(0),
        }
    }

    async fn sign_in(&self, cardmember: CardmemberId) {
        self.desk
            .open_session(SESSION, cardmember, event("signed_in"))
            .await
            .unwrap();
    }

    /// A fresh step-up for one operation on one card.
    pub(crate) async fn step_up(&self, card: &TestCard, operation: &'static str, now: Timestamp) {
        let audit = AuditEvent {
            at: now,
            ..event("step_up")
        };
        let grant = GrantStepUp {
            actor: card.actor.clone(),
            opened_at: NOW,
            renewed: SESSION,
            card: card.row,
            operation,
        };
        assert!(self.desk.grant_step_up(grant, audit).await.unwrap());
    }

    /// What the cardmember's device sends for a change of PIN, or why it can't begin.
    pub(crate) async fn sealed_change(
        &self,
        card: &TestCard,
        current: &str,
        new: &str,
        now: Timestamp,
    ) -> Result<SealedEnvelope, ActError> {
        let open = OpenEnvelope {
            card: card.row,
            actor: card.actor.clone(),
            operation: PinOperation::ChangePin,
        };
        let offer = open_envelope(&self.desk, open, now).await?;
        let opened = device::Envelope::open(&device::Offer {
            nonce: offer.nonce,
            operation: "change_pin",
            account: &offer.account,
            expires_ms: offer.expires.0,
            hsm_public: &offer.hsm_public,
            signature: &offer.signature,
        })
        .unwrap();
        let seal = |role, pin| Some(opened.seal(role, &Pin::parse(pin).unwrap()));
        Ok(SealedEnvelope {
            nonce: offer.nonce,
            session: SESSION,
            device_public: opened.device_public().to_vec(),
            current_pin: seal(Role::Current, current),
            new_pin: seal(Role::New, new),
            now,
        })
    }

    /// A balance inquiry at a cash machine, with chip data where there is some.
    pub(crate) fn balance_inquiry(
        &self,
        card: &TestCard,
        pin: &str,
        chip: Option<Vec<u8>>,
    ) -> AuthorisationRequest {
        let entry = if chip.is_some() {
            CardEntry::Contact
        } else {
            CardEntry::MagneticStripe
        };
        AuthorisationRequest {
            transaction: Transaction::Balance,
            pin: Some(zone_pin(&card.pan, pin)),
            ..self.request(card, entry, chip)
        }
    }

    /// A PIN change at an ATM with the card inserted.
    pub(crate) fn pin_change(
        &self,
        card: &TestCard,
        current: &str,
        new: &str,
        chip: Vec<u8>,
    ) -> AuthorisationRequest {
        AuthorisationRequest {
            transaction: Transaction::PinChange,
            pin: Some(zone_pin(&card.pan, current)),
            new_pin: Some(zone_pin(&card.pan, new)),
            ..self.request(card, CardEntry::Contact, Some(chip))
        }
    }

    /// Decides one request now; one for an unknown card is put on record, as a link does it.
    pub(crate) async fn decide(&self, request: &AuthorisationRequest) -> AuthorisationAnswer {
        let requests = std::slice::from_ref(request);
        let answer = authorise(&self.desk, requests, NOW).await.unwrap().remove(0);
        if answer.decision == issuer::authorise::Decision::UnknownCard {
            let line = request.of_unknown_card(NOW);
            self.desk.store.append_audit(vec![line]).await.unwrap();
        }
        answer
    }

    /// A change of PIN in the portal.
    pub(crate) async fn change_in_portal(&self, card: &TestCard, current: &str, new: &str) {
        let envelope = self.sealed_change(card, current, new, NOW).await.unwrap();
        let change = ChangePin {
            card: card.row,
            actor: card.actor.clone(),
            envelope,
        };
        change_pin(&self.desk, change, NOW).await.unwrap();
    }

    /// A purchase of nothing, without a PIN; with an identity of its own.
    pub(crate) fn request(
        &self,
        card: &TestCard,
        entry: CardEntry,
        chip: Option<Vec<u8>>,
    ) -> AuthorisationRequest {
        let number = self.messages.fetch_add(1, Ordering::Relaxed) + 1;
        let mut content = [0; 32];
        content[..8].copy_from_slice(&number.to_be_bytes());
        AuthorisationRequest {
            message: MessageIdentity {
                identity: u128::from(number).to_be_bytes(),
                content,
            },
            pan: card.pan.clone(),
            kind: RequestKind::Request,
            authority: Authority::Here,
            psn: Some(psn()),
            expiry: Some(expiry()),
            transaction: Transaction::Purchase,
            amount_minor: 0,
            currency: 978,
            entry,
            terminal: Some(*b"TERM0001"),
            pin: None,
            new_pin: None,
            chip,
            link: "acquirer-1".into(),
        }
    }

    pub(crate) async fn state(&self, card: &TestCard) -> CardState {
        let record = self.desk.store.card(card.row).await.unwrap().unwrap();
        CardState::decode(&record.state).unwrap()
    }

    /// The whole audit chain, checked.
    pub(crate) async fn journal(&self) -> Vec<AuditRecord> {
        let mut check = ChainCheck::new(&[]);
        let mut journal = Vec::new();
        loop {
            let from = u64::try_from(journal.len()).unwrap() + 1;
            let page = self.desk.store.audit_from(from, 1_000).await.unwrap();
            if page.is_empty() {
                break;
            }
            for record in page {
                check.follow(&record).unwrap();
                journal.push(record);
            }
        }
        check.end().unwrap();
        journal
    }
}

pub(crate) fn store_path(directory: &Path) -> PathBuf {
    directory.join("pinward.sqlite")
}

/// Four-digit PINs, three tries, amounts up to 1,000.00 euro, without a PIN up to 50.00.
pub(crate) fn programme() -> Programme {
    Programme {
        id: ProgrammeId("credit".into()),
        name: "Larkfield Credit".into(),
        scheme: Scheme::VisaCvn18,
        pan_len_digits: 16,
        pin_len_digits: 4,
        tries_max: TRIES_MAX,
        unlocks_max: cards::UNLOCKS_MAX,
        amount_max_minor: 100_000,
        amount_without_pin_max_minor: 5_000,
        pin_without_chip: false,
        currency: 978,
        fraud: cards::FraudRules::default(),
        reissue: cards::ReissueRules::default(),
        script: cards::ScriptSettings::default(),
    }
}

pub(crate) fn psn() -> Psn {
    Psn::new(1).unwrap()
}

pub(crate) fn expiry() -> Expiry {
    Expiry::parse_yymm("3012").unwrap()
}

/// The PIN as an ATM's network sends it: ISO format 0 under the zone key.
pub(crate) fn zone_pin(pan: &Pan, pin: &str) -> ZonePin {
    let key = Tdes2Key::from_bytes(&ZPK);
    let pin = Pin::parse(pin).unwrap();
    let block = encipher_tdes(&key, TdesFormat::Iso0, &pin, &AccountDigits::from(pan), &[0; 10]);
    ZonePin {
        zone_key: key_name("zpk"),
        format: ZonePinFormat::Iso0,
        ksn: None,
        block: block.to_vec(),
    }
}

/// The keys that the bureau writes into a card's chip.
pub(crate) fn chip_keys(scheme: Scheme, pan: &Pan) -> CardKeys {
    let cvn = Cvn::from(scheme);
    let (tdes, aes) = (
        [IMK_AC, IMK_SMI, IMK_SMC].map(|key| Tdes2Key::from_bytes(&key)),
        [IMK_AC, IMK_SMI, IMK_SMC].map(|key| AesKey::from_bytes(&key).unwrap()),
    );
    let issuer_key = |number: usize| match cvn.algorithm() {
        EmvAlgorithm::Tdes => IssuerKey::Tdes(&tdes[number]),
        EmvAlgorithm::Aes => IssuerKey::Aes(&aes[number]),
    };
    let issuer = IssuerKeys {
        ac: issuer_key(0),
        smi: issuer_key(1),
        smc: issuer_key(2),
    };
    issuer.of_card(cvn, &AccountDigits::from(pan), psn()).unwrap()
}

pub(crate) fn new_card(programme: &Programme, pan: &Pan, pin: &str) -> NewCard {
    NewCard {
        cardmember: "m-1".into(),
        pan: pan.clone(),
        psn: psn(),
        expiry: expiry(),
        programme: programme.id.clone(),
        role: CardRole::Basic,
        status: CardStatus::Active,
        pin: NewCardPin::Block(zone_pin(pan, pin)),
    }
}

/// Test PANs of 16 digits; the check digit is the one that parses.
fn pan(number: u32) -> Pan {
    let with = |digit: u32| Pan::parse(&format!("476173{number:09}{digit}")).ok();
    (0..10)
        .find_map(with)
        .expect("one of ten digits is the check digit")
}

fn event(kind: &'static str) -> AuditEvent {
    AuditEvent {
        at: NOW,
        kind,
        card: None,
        actor: "operator:0".into(),
        detail: "{}".into(),
    }
}

async fn load_keys(hsm: &SoftwareHsm, directory: &Path, aes_keys: bool) {
    let write = |(number, bytes): (usize, &[u8; 32])| {
        let path = directory.join(format!("component-{number}.txt"));
        let kcv = AesKey::from_bytes(bytes).unwrap().kcv();
        fs::write(
            &path,
            format!("{}\n{}\n", HEXUPPER.encode(bytes), HEXUPPER.encode(&kcv)),
        )
        .unwrap();
        path.to_str().unwrap().to_owned()
    };
    let paths = COMPONENTS.iter().enumerate().map(write).collect();
    hsm.load_components(key_name("kek"), paths, NOW).await.unwrap();
    let zone = (
        KeyPurpose::ZonePinTdes,
        ZPK,
        *b"P0",
        ModeOfUse::EncryptDecrypt,
        Algorithm::Tdea,
    );
    let issuer = |purpose, key, usage, algorithm| (purpose, key, usage, ModeOfUse::DeriveKeys, algorithm);
    let keys = [
        ("zpk", zone),
        (
            "imk-ac",
            issuer(KeyPurpose::IssuerCryptogram, IMK_AC, *b"E0", Algorithm::Tdea),
        ),
        (
            "imk-smi",
            issuer(
                KeyPurpose::IssuerScriptIntegrity,
                IMK_SMI,
                *b"E2",
                Algorithm::Tdea,
            ),
        ),
        (
            "imk-smc",
            issuer(
                KeyPurpose::IssuerScriptConfidentiality,
                IMK_SMC,
                *b"E1",
                Algorithm::Tdea,
            ),
        ),
        (
            "imk-ac-aes",
            issuer(KeyPurpose::IssuerCryptogramAes, IMK_AC, *b"E0", Algorithm::Aes),
        ),
        (
            "imk-smi-aes",
            issuer(
                KeyPurpose::IssuerScriptIntegrityAes,
                IMK_SMI,
                *b"E2",
                Algorithm::Aes,
            ),
        ),
        (
            "imk-smc-aes",
            issuer(
                KeyPurpose::IssuerScriptConfidentialityAes,
                IMK_SMC,
                *b"E1",
                Algorithm::Aes,
            ),
        ),
    ];
    for (name, (purpose, key, usage, mode_of_use, algorithm)) in keys {
        if algorithm == Algorithm::Aes && !aes_keys {
            continue;
        }
        let block = key_block(&key, usage, mode_of_use, algorithm);
        hsm.import_key(key_name(name), purpose, block, key_name("kek"), NOW)
            .await
            .unwrap();
    }
}

fn key_block(key: &[u8; 16], usage: [u8; 2], mode_of_use: ModeOfUse, algorithm: Algorithm) -> String {
    let kek: Vec<u8> = COMPONENTS[0]
        .iter()
        .zip(COMPONENTS[1])
        .map(|(a, b)| a ^ b)
        .collect();
    let header = Header {
        version: KeyBlockVersion::D,
        usage: KeyUsage::from_code(usage).unwrap(),
        algorithm,
        mode_of_use,
        key_version: *b"00",
        exportability: Exportability::Exportable,
        key_context: KeyContext::OfWrappingKey,
        optional_blocks: Vec::new(),
    };
    let padding = vec![0x5A; padding_len(KeyBlockVersion::D, key.len())];
    wrap(
        Kbpk::Aes(&AesKey::from_bytes(&kek).unwrap()),
        &header,
        key,
        &padding,
    )
    .unwrap()
}

fn key_name(name: &str) -> KeyName {
    KeyName(name.to_owned())
}
