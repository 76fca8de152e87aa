//! A transaction with the card in the reader: card data, cardmember verification, ARQC, host, issuer authentication,
//! scripts, final cryptogram (EMV Book 3 10, Book 4 6.3).

use emv::apdu::{Command, SW_9000_OK, StatusWord};
use emv::bits::{Tvr, TvrBit};
use emv::field55::CryptogramKind;
use emv::script::{IssuerScript, ScriptOutcome, ScriptPhase, ScriptResult};
use emv::tags::{
    TAG_9F5B_SCRIPT_RESULTS, TAG_71_SCRIPT_BEFORE_FINAL_AC, TAG_72_SCRIPT_AFTER_FINAL_AC,
    TAG_91_ISSUER_AUTHENTICATION_DATA,
};
use emv::tlv;
use iso8583::mti::MTI_0420_REVERSAL_ADVICE;
use iso8583::values::CardEntry;
use paycrypto::pin::Pin;

use super::authentication;
use super::cvm::{self, Verification, Verified};
use super::deal::Deal;
use super::journey::{Faults, Journey, Outcome, Party, PullCard, Reversal, ScriptReport, Trouble};
use super::online;
use super::profile::TerminalProfile;
use super::reader::{CardData, CardReader, Cryptogram};
use super::receipt::{self, ReceiptCvm};
use super::slot::Card;
use super::terminal_data::TerminalData;
use super::trace::Trace;
use crate::acquirer::Acquirer;
use crate::acquirer::message::Message;
use crate::card::chip::Interface;
use crate::card::tear::Tear;
use crate::rsa::RsaPublicKey;

/// Response codes that a terminal gives the card itself (EMV Book 4 A6).
const RESPONSE_Z1_DECLINED_OFFLINE: [u8; 2] = *b"Z1";
const RESPONSE_Z3_UNABLE_TO_GO_ONLINE: [u8; 2] = *b"Z3";

/// Tag 9F39 and DE22 for the contacts.
const ENTRY_MODE_05: u8 = 0x05;

/// A terminal at work on one transaction.
pub struct Contact<'a> {
    pub profile: TerminalProfile,
    pub deal: Deal,
    /// The PIN to change to.
    pub new_pin: Option<&'a Pin>,
    pub acquirer: &'a Acquirer,
    pub faults: Faults,
}

/// What the terminal knows when it has to decide where the transaction goes.
struct Read {
    card: CardData,
    terminal: TerminalData,
    verified: Verified,
    first: Cryptogram,
    /// The card's key, where its cryptograms come signed with it (CDA).
    signed_by: Option<RsaPublicKey>,
}

impl Read {
    /// Has the card end the transaction, declined.
    fn decline(&mut self, reader: &mut CardReader<'_>, response_code: [u8; 2]) -> Result<(), Trouble> {
        let none = CryptogramKind::Aac;
        reader.second_ac(&mut self.card, none, &self.terminal, response_code, None)?;
        Ok(())
    }
}

impl Contact<'_> {
    /// Runs the transaction. `keyed` are the PINs keyed one after the other, until one is right; with none, PIN entry is
    /// passed over. When they run out after a wrong one, the card is taken out and nothing goes to the host.
    pub async fn run(&self, card: &mut dyn Card, keyed: &[Pin]) -> Journey {
        let mut reader = CardReader::insert(card, Interface::Contact);
        let mut outcome = Outcome::default();
        if let Err(trouble) = self.transact(&mut reader, keyed, &mut outcome).await {
            outcome.approved = false;
            receipt::say_trouble(&mut outcome, trouble);
        }
        reader.remove();
        Journey {
            outcome,
            trace: reader.trace.0,
        }
    }

    async fn transact(
        &self,
        reader: &mut CardReader<'_>,
        keyed: &[Pin],
        outcome: &mut Outcome,
    ) -> Result<(), Trouble> {
        let Some(mut read) = self.first_cryptogram(reader, keyed, outcome)? else {
            return Ok(());
        };
        match read.first.kind {
            CryptogramKind::Aac => outcome.display.push("DECLINED BY CARD".to_owned()),
            CryptogramKind::Tc => {
                outcome.approved = true;
                outcome.display.push("APPROVED OFFLINE".to_owned());
                let request = self.request(&read, keyed, &mut reader.trace)?;
                outcome.receipt = self.receipt(&request, None, &read.verified, true);
            }
            CryptogramKind::Arqc if self.profile.is_offline_only() => {
                outcome.display.push("DECLINED, CARD WANTS ITS BANK".to_owned());
                read.decline(reader, RESPONSE_Z3_UNABLE_TO_GO_ONLINE)?;
            }
            CryptogramKind::Arqc => self.go_online(reader, &mut read, keyed, outcome).await?,
        }
        Ok(())
    }

    /// Everything before the host. None where the transaction ends here, and the display says why.
    fn first_cryptogram(
        &self,
        reader: &mut CardReader<'_>,
        keyed: &[Pin],
        outcome: &mut Outcome,
    ) -> Result<Option<Read>, Trouble> {
        let transaction_type = self.deal.transaction_type(self.acquirer.processing_codes());
        let mut terminal = TerminalData::new(&self.profile, self.deal.amount(), transaction_type);
        let mut card = reader.read_card(&self.profile, &terminal)?;
        let authentication = authentication::authenticate(reader, &card, &self.profile, &terminal)?;
        let icc_key = authentication.icc_key.as_ref();
        let cash = matches!(self.deal, Deal::Cash(_));
        let verified = match cvm::verify(reader, &card, &self.profile, icc_key, cash, keyed)? {
            Verification::Done(verified) => verified,
            Verification::GivenUp { tries_left } => {
                outcome.pin_tries_left = Some(tries_left);
                outcome.display = vec![receipt::wrong_pin(tries_left), "CARD REMOVED".to_owned()];
                return Ok(None);
            }
        };
        outcome.pin_tries_left = verified.tries_left;
        outcome.display.clone_from(&verified.display);
        terminal.tvr = authentication.tvr.set_bits().fold(verified.tvr, Tvr::with);
        terminal.cvm_results = verified.results;
        terminal.dynamic_number = authentication.dynamic_number.unwrap_or_default();
        let asked = if self.profile.is_offline_only() {
            CryptogramKind::Tc
        } else {
            terminal.tvr = terminal.tvr.with(TvrBit::FloorLimitExceeded);
            CryptogramKind::Arqc
        };
        let signed_by = authentication
            .icc_key
            .filter(|_| authentication.signed_cryptogram);
        match reader.first_ac(&mut card, asked, &terminal, signed_by.as_ref()) {
            Ok(first) => Ok(Some(Read {
                card,
                terminal,
                verified,
                first,
                signed_by,
            })),
            Err(Trouble::CardNotAuthentic) => {
                // A cryptogram that isn't the card's can't be sent (EMV Book 4 6.3.2.1).
                terminal.tvr = terminal.tvr.with(TvrBit::CdaFailed);
                receipt::say_trouble(outcome, Trouble::CardNotAuthentic);
                let declined = RESPONSE_Z1_DECLINED_OFFLINE;
                reader.second_ac(&mut card, CryptogramKind::Aac, &terminal, declined, None)?;
                Ok(None)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Asks the host, and ends the transaction by its answer or without one.
    async fn go_online(
        &self,
        reader: &mut CardReader<'_>,
        read: &mut Read,
        keyed: &[Pin],
        outcome: &mut Outcome,
    ) -> Result<(), Trouble> {
        let request = self.request(read, keyed, &mut reader.trace)?;
        let asked = online::ask(self.acquirer, &request, self.faults, &mut reader.trace, outcome);
        let Some(answer) = asked.await else {
            return read.decline(reader, RESPONSE_Z3_UNABLE_TO_GO_ONLINE);
        };
        let completed = self.complete(reader, read, &answer, outcome);
        outcome.approved = completed == Ok(true);
        if self.acquirer.approves(&answer) && !outcome.approved {
            outcome.reversal = Some(self.give_up(reader, &request, outcome.script).await);
        }
        outcome.receipt = self.receipt(&request, Some(&answer), &read.verified, outcome.approved);
        completed?;
        let code = self.acquirer.response_code_1987(&answer);
        let decision = receipt::decision(self.deal, &answer, code, outcome.approved);
        outcome.display.extend(decision);
        Ok(())
    }

    fn request(&self, read: &Read, keyed: &[Pin], trace: &mut Trace) -> Result<Message, Trouble> {
        let mut request = online::request(self.acquirer, &self.profile, self.deal, CardEntry::ContactChip);
        read.card.put_account(&mut request)?;
        let chip_data = read
            .card
            .chip_data(&read.terminal, &read.first, &self.profile, ENTRY_MODE_05)?;
        request.put(55, chip_data);
        let online = keyed.first().filter(|_| read.verified.online_pin);
        let pan = read.card.pan()?;
        match self.acquirer.put_pins(&mut request, &pan, online, self.new_pin) {
            Ok(()) => Ok(request),
            Err(cause) => {
                trace.event(Party::Terminal, Party::Terminal, &cause.to_string());
                Err(Trouble::NoPinKey)
            }
        }
    }

    fn receipt(
        &self,
        request: &Message,
        answer: Option<&Message>,
        verified: &Verified,
        approved: bool,
    ) -> Vec<String> {
        let cvm = receipt_cvm(verified);
        receipt::lines(&self.profile, self.deal, request, answer, cvm, approved)
    }

    /// What follows the host's answer, in the order of EMV: issuer authentication, scripts 71, second cryptogram, scripts
    /// 72. Gives whether card and host both approve.
    fn complete(
        &self,
        reader: &mut CardReader<'_>,
        read: &mut Read,
        answer: &Message,
        outcome: &mut Outcome,
    ) -> Result<bool, Trouble> {
        let terminal = &mut read.terminal;
        let chip_data = answer.field(55).unwrap_or_default();
        if self.faults.pull_card == Some(PullCard::BeforeFinalAc) {
            reader.remove();
        }
        let by_command = read.card.takes_external_authenticate()?;
        let authentication = tlv::find(chip_data, TAG_91_ISSUER_AUTHENTICATION_DATA)
            .ok()
            .flatten();
        if let Some(data) = authentication.filter(|_| !by_command) {
            terminal.issuer_authentication = data.to_vec();
        }
        if let Some(data) = authentication.filter(|_| by_command) {
            let (_, status) = reader.send(&Command::external_authenticate(data))?;
            if status != SW_9000_OK {
                terminal.tvr = terminal.tvr.with(TvrBit::IssuerAuthenticationFailed);
            }
        }
        let scripts = scripts_of(chip_data);
        self.perform(reader, &scripts, ScriptPhase::BeforeFinalAc, outcome);
        if outcome.script == Some(ScriptReport::Failed) {
            terminal.tvr = terminal.tvr.with(TvrBit::ScriptFailedBeforeFinalAc);
        }
        let host_approves = self.acquirer.approves(answer);
        let asked = if host_approves {
            CryptogramKind::Tc
        } else {
            CryptogramKind::Aac
        };
        let code = self.acquirer.response_code_1987(answer);
        let code = code.unwrap_or(RESPONSE_Z3_UNABLE_TO_GO_ONLINE);
        let second = reader.second_ac(&mut read.card, asked, terminal, code, read.signed_by.as_ref());
        if matches!(second, Ok(_) | Err(Trouble::CardNotAuthentic)) {
            // The issuer's commands go to the card however the transaction ends (EMV Book 3 10.10).
            self.perform(reader, &scripts, ScriptPhase::AfterFinalAc, outcome);
        }
        Ok(host_approves && second?.kind == CryptogramKind::Tc)
    }

    /// Sends the scripts of one phase. Each ends at its first command that fails (EMV Book 4 6.3.9).
    fn perform(
        &self,
        reader: &mut CardReader<'_>,
        scripts: &[Option<IssuerScript>],
        phase: ScriptPhase,
        outcome: &mut Outcome,
    ) {
        for script in scripts {
            let result = match script {
                Some(script) if script.phase == phase => self.perform_one(reader, script),
                None if phase == ScriptPhase::AfterFinalAc => UNREADABLE,
                Some(_) | None => continue,
            };
            let shown = data_encoding::HEXUPPER.encode(&result.to_bytes());
            let told = format!("script result 9F5B {shown}");
            reader.trace.event(Party::Terminal, Party::Terminal, &told);
            outcome.script = Some(result.outcome.into());
        }
    }

    fn perform_one(&self, reader: &mut CardReader<'_>, script: &IssuerScript) -> ScriptResult {
        let mut result = ScriptResult {
            outcome: ScriptOutcome::Successful,
            failed_command: 0,
            id: script.id.unwrap_or_default(),
        };
        for (number, bytes) in (1..).zip(&script.commands) {
            let status = match Command::parse(bytes) {
                Ok(command) => self.send_script(reader, &command),
                Err(_) => None,
            };
            if !status.is_some_and(StatusWord::lets_script_continue) {
                result.outcome = match status {
                    None if number == 1 && self.faults.pull_card == Some(PullCard::BeforeScript) => {
                        ScriptOutcome::NotPerformed
                    }
                    _ => ScriptOutcome::Failed,
                };
                result.failed_command = number;
                break;
            }
        }
        result
    }

    /// The status; none where the card is gone, before or after it performed the command.
    fn send_script(&self, reader: &mut CardReader<'_>, command: &Command<'_>) -> Option<StatusWord> {
        match self.faults.pull_card {
            Some(PullCard::BeforeScript) => reader.remove(),
            Some(PullCard::DuringScript) => reader.tear(Tear::BeforeWrite(1)),
            Some(PullCard::BeforeFinalAc | PullCard::AfterScript) | None => {}
        }
        let sent = reader.send(command);
        if self.faults.pull_card == Some(PullCard::AfterScript) {
            reader.remove();
            return None;
        }
        sent.ok().map(|(_, status)| status)
    }

    /// Tells the host that an approved transaction wasn't completed, and what is known of its scripts.
    async fn give_up(
        &self,
        reader: &mut CardReader<'_>,
        request: &Message,
        script: Option<ScriptReport>,
    ) -> Reversal {
        let chip_data = script.map(|script| {
            let result = ScriptResult {
                outcome: match script {
                    ScriptReport::NotPerformed => ScriptOutcome::NotPerformed,
                    ScriptReport::Failed => ScriptOutcome::Failed,
                    ScriptReport::Successful => ScriptOutcome::Successful,
                },
                failed_command: 0,
                id: [0; 4],
            };
            let mut bytes = Vec::new();
            tlv::put(&mut bytes, TAG_9F5B_SCRIPT_RESULTS, &result.to_bytes());
            bytes
        });
        let trace = &mut reader.trace;
        online::reverse(self.acquirer, request, MTI_0420_REVERSAL_ADVICE, chip_data, trace).await
    }
}

/// The result of a script that can't be read.
const UNREADABLE: ScriptResult = ScriptResult {
    outcome: ScriptOutcome::Failed,
    failed_command: 0,
    id: [0; 4],
};

/// The scripts of an answer, in its order; `None` for one that can't be read.
fn scripts_of(chip_data: &[u8]) -> Vec<Option<IssuerScript>> {
    let objects = tlv::parse(chip_data).unwrap_or_default();
    let script = objects.into_iter().filter(|object| {
        matches!(
            object.tag,
            TAG_71_SCRIPT_BEFORE_FINAL_AC | TAG_72_SCRIPT_AFTER_FINAL_AC
        )
    });
    let read = |object: tlv::Object<'_>| {
        let mut bytes = Vec::new();
        tlv::put(&mut bytes, object.tag, object.value);
        IssuerScript::parse(&bytes).ok()
    };
    script.map(read).collect()
}

fn receipt_cvm(verified: &Verified) -> ReceiptCvm {
    match verified {
        Verified {
            offline_pin_right: true,
            ..
        } => ReceiptCvm::PinByChip,
        Verified { online_pin: true, .. } => ReceiptCvm::PinByHost,
        _ => ReceiptCvm::None,
    }
}
