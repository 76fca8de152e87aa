//! Cryptograms: both GENERATE AC, EXTERNAL AUTHENTICATE.

use emv::apdu::{
    Command, P1_10_CDA_REQUESTED, SW_6A86_WRONG_PARAMETERS, SW_6D00_UNKNOWN_INSTRUCTION,
    SW_6300_AUTHENTICATION_FAILED, SW_6700_WRONG_LENGTH, SW_6985_CONDITIONS, StatusWord,
};
use emv::csu::Csu;
use emv::cvr::{FirstAc, SecondAc};
use emv::field55::CryptogramKind;
use emv::iad::IadLayout;
use emv::tags::{
    TAG_5F2A_TRANSACTION_CURRENCY, TAG_8A_AUTHORISATION_RESPONSE_CODE, TAG_9A_TRANSACTION_DATE,
    TAG_9C_TRANSACTION_TYPE, TAG_9F1A_TERMINAL_COUNTRY, TAG_9F02_AMOUNT_AUTHORISED, TAG_9F03_AMOUNT_OTHER,
    TAG_9F37_UNPREDICTABLE_NUMBER, TAG_91_ISSUER_AUTHENTICATION_DATA, TAG_95_TVR,
};
use emv::tlv::Tag;
use paycrypto::arpc::{ArpcError, AuthenticAnswer, open_issuer_authentication_data};
use paycrypto::cryptogram::{AcInput, AcSession};
use paycrypto::script::ScriptContext;

use super::signatures::{Given, random_number};
use super::{
    Answer, Chip, FirstCryptogram, Interface, IssuerAuthentication, IssuerDecision, Power, Stage,
    Transaction, at_contacts,
};
use crate::card::perso::ReportCleared;
use crate::card::profile::{AuthenticationBy, CardProfile};
use crate::card::records::{self, bcd};
use crate::card::report::{Happened, IssuerSpoke, PinVerification, issuer_application_data};
use crate::card::state::ScriptCount;

/// Response codes of a terminal that got no answer (EMV Book 4, annex A6).
const RESPONSES_WITHOUT_ISSUER: [&[u8]; 2] = [b"Y3", b"Z3"];

/// Response codes of method 1 that approve, where they are characters.
const RESPONSES_APPROVED: [[u8; 2]; 3] = [*b"00", *b"10", *b"11"];

/// Bit of Mastercard's method 1 response code, byte 2: the issuer approves. Of its other bits no public text tells.
const RESPONSE_MCHIP_APPROVED: u8 = 0x10;

/// Bit of a card status update, byte 1: proprietary data follows.
const CSU_PROPRIETARY: u8 = 0x80;

/// What one GENERATE AC is about.
struct Asked<'v> {
    interface: Interface,
    kind: CryptogramKind,
    /// The cryptogram is wanted inside signed dynamic data (CDA).
    signed: bool,
    values: &'v [u8],
}

impl Chip {
    pub(super) fn generate_ac(&mut self, power: &mut Power, command: &Command<'_>) -> Answer {
        let signed = command.p1 & P1_10_CDA_REQUESTED != 0;
        let kind = CryptogramKind::from_cid(command.p1)
            .filter(|kind| kind.code() == command.p1 & !P1_10_CDA_REQUESTED && command.p2 == 0)
            .ok_or(SW_6A86_WRONG_PARAMETERS)?;
        let interface = power.interface;
        if signed && (interface == Interface::Contactless || self.perso.certified_key.is_none()) {
            return Err(SW_6A86_WRONG_PARAMETERS);
        }
        let asked = Asked {
            interface,
            kind,
            signed,
            values: command.data,
        };
        let transaction = power.transaction.as_mut().ok_or(SW_6985_CONDITIONS)?;
        match transaction.stage {
            Stage::Initiated => self.first_ac(transaction, &asked),
            Stage::OnlineRequested if interface == Interface::Contact => self.second_ac(transaction, &asked),
            Stage::OnlineRequested | Stage::Completed => Err(SW_6985_CONDITIONS),
        }
    }

    /// The card never approves by itself: where the terminal would, it asks to go online.
    fn first_ac(&mut self, transaction: &mut Transaction, asked: &Asked<'_>) -> Answer {
        let (kind, first_ac) = match asked.kind {
            CryptogramKind::Aac => (CryptogramKind::Aac, FirstAc::Aac),
            CryptogramKind::Tc | CryptogramKind::Arqc => (CryptogramKind::Arqc, FirstAc::Arqc),
        };
        let dol = &self.perso.profile.cdol1;
        if asked.values.len() != dol.values_len() {
            return Err(SW_6700_WRONG_LENGTH);
        }
        let value = |tag| dol.value_in(asked.values, tag);
        let aip = records::aip(&self.perso, asked.interface);
        let input = ac_input(value, aip, self.state.atc).ok_or(SW_6700_WRONG_LENGTH)?;
        let keys = &self.perso.keys;
        let session = AcSession::new(keys.profile(), keys.ac(), input.atc, input.unpredictable_number)
            .expect("card keys are of their version's algorithm");
        let signing = asked.signed && kind == CryptogramKind::Arqc;
        let dynamic_number = signing.then(random_number).transpose()?;
        let happened = Happened {
            second_ac: SecondAc::NotRequested,
            first_ac,
            pin_possible: asked.interface == Interface::Contact,
            ..self.happened(transaction, input.terminal_country, dynamic_number)
        };
        let iad = issuer_application_data(&self.perso.profile, &self.state, &happened);
        let ac = cryptogram(&session, &input, &iad);
        let given = Given {
            kind,
            ac,
            iad,
            unpredictable_number: input.unpredictable_number,
            exchanged: &[asked.values],
            dynamic_number,
        };
        let answer = self.cryptogram_answer(&given)?;
        if kind == CryptogramKind::Arqc && asked.interface == Interface::Contact {
            let mut state = self.state.clone();
            state.online_not_completed = true;
            self.remember(state)?;
        }
        transaction.stage = match kind {
            CryptogramKind::Arqc => Stage::OnlineRequested,
            CryptogramKind::Aac | CryptogramKind::Tc => Stage::Completed,
        };
        transaction.first = Some(FirstCryptogram {
            kind: first_ac,
            session,
            values: asked.values.to_vec(),
            ac,
            script: ScriptContext::first(self.state.atc, ac),
            scripts_performed: 0,
        });
        Ok(answer)
    }

    /// Approves only where the terminal asks for it and an authenticated issuer approved. With an authenticated issuer,
    /// the online transaction has ended well: the issuer has seen what was reported, and its update is applied.
    fn second_ac(&mut self, transaction: &mut Transaction, asked: &Asked<'_>) -> Answer {
        let profile = &self.perso.profile;
        let (cdol1, cdol2) = (profile.cdol1.clone(), profile.cdol2.clone());
        if asked.values.len() != cdol2.values_len() {
            return Err(SW_6700_WRONG_LENGTH);
        }
        if asked.kind == CryptogramKind::Arqc {
            return Err(SW_6A86_WRONG_PARAMETERS);
        }
        if self.perso.profile.issuer_authentication == AuthenticationBy::SecondGenerateAc {
            let tag_91 = cdol2.value_in(asked.values, TAG_91_ISSUER_AUTHENTICATION_DATA);
            // Zeros are what a terminal fills in where the answer had none.
            if let Some(tag_91) = tag_91.filter(|value| value.iter().any(|byte| *byte != 0)) {
                self.hear_issuer(transaction, tag_91)?;
            }
        }
        let decision = match transaction.issuer {
            IssuerAuthentication::Passed(decision) => Some(decision),
            IssuerAuthentication::NotPerformed | IssuerAuthentication::Failed => None,
        };
        let (kind, second_ac) = match asked.kind {
            CryptogramKind::Tc if decision.is_some_and(|decision| decision.approved) => {
                (CryptogramKind::Tc, SecondAc::Tc)
            }
            CryptogramKind::Tc | CryptogramKind::Aac | CryptogramKind::Arqc => {
                (CryptogramKind::Aac, SecondAc::Aac)
            }
        };
        let first = transaction.first.as_ref().ok_or(SW_6985_CONDITIONS)?;
        let newer = |tag| cdol2.value_in(asked.values, tag);
        let value = |tag| newer(tag).or_else(|| cdol1.value_in(&first.values, tag));
        let aip = records::aip(&self.perso, Interface::Contact);
        let input = ac_input(value, aip, self.state.atc).ok_or(SW_6700_WRONG_LENGTH)?;
        let signing = asked.signed && kind == CryptogramKind::Tc;
        let dynamic_number = signing.then(random_number).transpose()?;
        let happened = Happened {
            second_ac,
            first_ac: first.kind,
            pin_possible: true,
            ..self.happened(transaction, input.terminal_country, dynamic_number)
        };
        let iad = issuer_application_data(&self.perso.profile, &self.state, &happened);
        let given = Given {
            kind,
            ac: cryptogram(&first.session, &input, &iad),
            iad,
            unpredictable_number: input.unpredictable_number,
            exchanged: &[&first.values, asked.values],
            dynamic_number,
        };
        let answer = self.cryptogram_answer(&given)?;
        let response_code = newer(TAG_8A_AUTHORISATION_RESPONSE_CODE).unwrap_or_default();
        self.end_online(decision, response_code)?;
        transaction.stage = Stage::Completed;
        Ok(answer)
    }

    /// What an online transaction leaves behind, by who ended it.
    fn end_online(
        &mut self,
        decision: Option<IssuerDecision>,
        response_code: &[u8],
    ) -> Result<(), StatusWord> {
        let mut state = self.state.clone();
        let answered = !RESPONSES_WITHOUT_ISSUER.contains(&response_code);
        if let Some(decision) = decision {
            state.scripts = ScriptCount::default();
            state.online_not_completed = false;
            state.issuer_authentication_failed = false;
            state.last_online_atc = state.atc;
            state.go_online_next = decision.go_online_next.unwrap_or(false);
            if let Some(tries) = decision.pin_tries {
                state.pin_tries_left = tries.min(self.perso.pin_try_limit);
            }
        } else if answered && self.perso.report_cleared == ReportCleared::AfterOnline {
            state.scripts = ScriptCount::default();
        }
        self.remember(state)
    }

    /// Once per transaction, after the ARQC.
    pub(super) fn external_authenticate(&mut self, power: &mut Power, command: &Command<'_>) -> Answer {
        if self.perso.profile.issuer_authentication != AuthenticationBy::ExternalAuthenticate {
            return Err(SW_6D00_UNKNOWN_INSTRUCTION);
        }
        let transaction = at_contacts(power)
            .filter(|transaction| transaction.stage == Stage::OnlineRequested)
            .filter(|transaction| transaction.issuer == IssuerAuthentication::NotPerformed)
            .ok_or(SW_6985_CONDITIONS)?;
        if (command.p1, command.p2) != (0, 0) {
            return Err(SW_6A86_WRONG_PARAMETERS);
        }
        if !(8..=16).contains(&command.data.len()) {
            return Err(SW_6700_WRONG_LENGTH);
        }
        self.hear_issuer(transaction, command.data)?;
        match transaction.issuer {
            IssuerAuthentication::Passed(_) => Ok(Vec::new()),
            IssuerAuthentication::NotPerformed | IssuerAuthentication::Failed => {
                Err(SW_6300_AUTHENTICATION_FAILED)
            }
        }
    }

    /// Checks tag 91, and remembers a wrong one.
    fn hear_issuer(&mut self, transaction: &mut Transaction, tag_91: &[u8]) -> Result<(), StatusWord> {
        let first = transaction.first.as_ref().ok_or(SW_6985_CONDITIONS)?;
        // CDOL2 of CCD has room for proprietary data, which the card status update may say isn't there.
        let told = match tag_91 {
            [_, _, _, _, csu, ..]
                if self.perso.profile.layout == IadLayout::Ccd && csu & CSU_PROPRIETARY == 0 =>
            {
                tag_91.get(..8).unwrap_or(tag_91)
            }
            _ => tag_91,
        };
        transaction.issuer = match open_issuer_authentication_data(&first.session, first.ac, told) {
            Ok(answer) => IssuerAuthentication::Passed(self.perso.profile.decision(answer)),
            Err(ArpcError::Length | ArpcError::Arpc) => IssuerAuthentication::Failed,
        };
        if transaction.issuer == IssuerAuthentication::Failed {
            let mut state = self.state.clone();
            state.issuer_authentication_failed = true;
            self.remember(state)?;
        }
        Ok(())
    }

    /// What happened, but for the cryptograms.
    fn happened(
        &self,
        transaction: &Transaction,
        terminal_country: [u8; 2],
        cda_number: Option<[u8; 8]>,
    ) -> Happened {
        let number = cda_number.or(transaction.dynamic_number);
        Happened {
            second_ac: SecondAc::NotRequested,
            first_ac: FirstAc::Arqc,
            pin: transaction.pin,
            pin_enciphered: transaction.pin_enciphered && transaction.pin != PinVerification::NotPerformed,
            pin_possible: true,
            issuer: match transaction.issuer {
                IssuerAuthentication::NotPerformed => IssuerSpoke::NotYet,
                IssuerAuthentication::Failed => IssuerSpoke::Wrongly,
                IssuerAuthentication::Passed(_) => IssuerSpoke::Authentically,
            },
            domestic: terminal_country == bcd::<2>(self.perso.country.into()),
            dynamic_number: number.map(|[first, second, ..]| [first, second]),
            dda: transaction.dynamic_number.is_some(),
            cda: cda_number.is_some(),
        }
    }
}

impl CardProfile {
    /// What an authentic answer means to the card.
    fn decision(&self, answer: AuthenticAnswer<'_>) -> IssuerDecision {
        match answer {
            AuthenticAnswer::Csu { csu, .. } => {
                let csu = Csu::from_bytes(csu);
                IssuerDecision {
                    approved: csu.approved,
                    pin_tries: csu.pin_try_counter,
                    go_online_next: Some(csu.go_online_next),
                }
            }
            AuthenticAnswer::ResponseCode([high, low]) => IssuerDecision {
                approved: match self.layout {
                    IadLayout::MChip => low & RESPONSE_MCHIP_APPROVED != 0,
                    IadLayout::Visa | IadLayout::Amex | IadLayout::Interac | IadLayout::Ccd => {
                        RESPONSES_APPROVED.contains(&[high, low])
                    }
                },
                pin_tries: None,
                go_online_next: None,
            },
        }
    }
}

/// The cryptogram over the terminal's data and the card's.
pub(super) fn cryptogram(session: &AcSession, input: &AcInput<'_>, iad: &[u8]) -> [u8; 8] {
    session
        .generate(&AcInput { iad, ..*input })
        .expect("each layout has the bytes that its version's cryptogram covers")
}

/// The terminal's data, by tag; `None` where a value is missing or has another length. The issuer application data is
/// filled in later, when it is known what happened.
pub(super) fn ac_input<'v>(
    value: impl Fn(Tag) -> Option<&'v [u8]>,
    aip: [u8; 2],
    atc: u16,
) -> Option<AcInput<'static>> {
    let [transaction_type] = exact(value(TAG_9C_TRANSACTION_TYPE))?;
    Some(AcInput {
        amount: exact(value(TAG_9F02_AMOUNT_AUTHORISED))?,
        amount_other: exact(value(TAG_9F03_AMOUNT_OTHER))?,
        terminal_country: exact(value(TAG_9F1A_TERMINAL_COUNTRY))?,
        tvr: exact(value(TAG_95_TVR))?,
        currency: exact(value(TAG_5F2A_TRANSACTION_CURRENCY))?,
        date: exact(value(TAG_9A_TRANSACTION_DATE))?,
        transaction_type,
        unpredictable_number: exact(value(TAG_9F37_UNPREDICTABLE_NUMBER))?,
        aip,
        atc,
        iad: &[],
    })
}

fn exact<const LEN: usize>(value: Option<&[u8]>) -> Option<[u8; LEN]> {
    value?.try_into().ok()
}
