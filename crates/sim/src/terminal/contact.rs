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

use super::cvm::{self, Verification, Verified};
use super::journey::{Faults, Journey, Outcome, Party, PullCard, ScriptReport};
use super::merchant::Merchant;
use super::online::{self, Asked, Deal};
use super::reader::{CardData, CardReader, CardTrouble, TerminalData};
use super::receipt::{self, ReceiptCvm};
use crate::acquirer::Acquirer;
use crate::acquirer::message::Message;
use crate::card::chip::{Chip, Interface};
use crate::card::tear::Tear;

/// Response codes that a terminal gives the card itself: unable to go online, declined (EMV Book 4 A6).
const RESPONSE_Z3_UNABLE_TO_GO_ONLINE: [u8; 2] = *b"Z3";

/// Tag 9F39 and DE22 for the contacts.
const ENTRY_MODE_05: u8 = 0x05;

/// A terminal at work on one transaction.
pub(super) struct Contact<'a> {
    pub(super) merchant: Merchant,
    pub(super) deal: Deal,
    /// The PIN to change to.
    pub(super) new_pin: Option<&'a Pin>,
    pub(super) acquirer: &'a Acquirer,
    pub(super) faults: Faults,
}

impl Contact<'_> {
    /// Runs the transaction. `keyed` are the PINs keyed one after the other.
    pub(super) async fn run(&self, chip: &mut Chip, keyed: &[Pin]) -> Journey {
        let mut reader = CardReader::insert(chip, Interface::Contact);
        let mut outcome = Outcome::default();
        if let Err(trouble) = self.transact(&mut reader, keyed, &mut outcome).await {
            outcome.approved = false;
            outcome.display.push(receipt::trouble(trouble));
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
    ) -> Result<(), CardTrouble> {
        let card = reader.read_card()?;
        let cash = matches!(self.deal, Deal::Cash(_));
        let verified = match cvm::verify(reader, &card, &self.merchant, cash, keyed)? {
            Verification::Done(verified) => verified,
            Verification::GivenUp { tries_left } => {
                outcome.pin_tries_left = Some(tries_left);
                outcome.display = vec![receipt::wrong_pin(tries_left), "CARD REMOVED".to_owned()];
                return Ok(());
            }
        };
        outcome.pin_tries_left = verified.tries_left;
        outcome.display.clone_from(&verified.display);
        let mut terminal = TerminalData::new(
            &self.merchant,
            self.deal.amount(),
            self.deal.transaction_type(),
            online_only(verified.tvr),
            verified.results,
        );
        let first = reader.first_ac(&card, CryptogramKind::Arqc, &terminal)?;
        if first.kind != CryptogramKind::Arqc {
            outcome.display.push("DECLINED BY CARD".to_owned());
            return Ok(());
        }
        let mut request = online::request(self.acquirer, &self.merchant, self.deal, CardEntry::ContactChip);
        card.put_account(&mut request)?;
        let chip_data = card.chip_data(&terminal, &first, &self.merchant, ENTRY_MODE_05)?;
        request.put(55, chip_data);
        if let Some(pin) = keyed.first().filter(|_| verified.online_pin) {
            request.put(52, online::pin_block(self.acquirer, pin, &card.pan()?));
        }
        if let (Some(new_pin), Some(field)) = (self.new_pin, self.acquirer.dialect().places().new_pin) {
            request.put(field, online::pin_block(self.acquirer, new_pin, &card.pan()?));
        }
        let answer = match online::ask(self.acquirer, &request, self.faults, &mut reader.trace).await {
            Asked::Answered(answer) => answer,
            Asked::Reversed | Asked::Unreachable => {
                outcome.host_unreachable = true;
                outcome.display.push("NO CONNECTION, DECLINED".to_owned());
                let none = RESPONSE_Z3_UNABLE_TO_GO_ONLINE;
                reader.second_ac(&card, CryptogramKind::Aac, &terminal, none)?;
                return Ok(());
            }
        };
        outcome.response_code = answer.response_code();
        let completed = self.complete(reader, &card, &mut terminal, &answer, outcome);
        outcome.approved = completed == Ok(true);
        if online::is_approved(&answer) && !outcome.approved {
            self.give_up(reader, &request, outcome.script).await;
        }
        outcome.receipt = receipt::lines(
            &self.merchant,
            self.deal,
            &request,
            Some(&answer),
            receipt_cvm(&verified),
            outcome.approved,
        );
        completed?;
        outcome
            .display
            .extend(receipt::decision(self.deal, &answer, outcome.approved));
        Ok(())
    }

    /// What follows the host's answer, in the order of EMV: issuer authentication, scripts 71, second cryptogram, scripts
    /// 72. Gives whether card and host both approve.
    fn complete(
        &self,
        reader: &mut CardReader<'_>,
        card: &CardData,
        terminal: &mut TerminalData,
        answer: &Message,
        outcome: &mut Outcome,
    ) -> Result<bool, CardTrouble> {
        let chip_data = answer.field(55).unwrap_or_default();
        if self.faults.pull_card == Some(PullCard::BeforeFinalAc) {
            reader.remove();
        }
        let by_command = card.takes_external_authenticate()?;
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
        let host_approves = online::is_approved(answer);
        let asked = if host_approves {
            CryptogramKind::Tc
        } else {
            CryptogramKind::Aac
        };
        let code = answer.field(39).and_then(|code| code.try_into().ok());
        let code = code.unwrap_or(RESPONSE_Z3_UNABLE_TO_GO_ONLINE);
        let second = reader.second_ac(card, asked, terminal, code)?;
        self.perform(reader, &scripts, ScriptPhase::AfterFinalAc, outcome);
        Ok(host_approves && second.kind == CryptogramKind::Tc)
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
    async fn give_up(&self, reader: &mut CardReader<'_>, request: &Message, script: Option<ScriptReport>) {
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
        online::reverse(self.acquirer, request, MTI_0420_REVERSAL_ADVICE, chip_data, trace).await;
    }
}

/// The result of a script that can't be read.
const UNREADABLE: ScriptResult = ScriptResult {
    outcome: ScriptOutcome::Failed,
    failed_command: 0,
    id: [0; 4],
};

/// No card is authenticated offline, and every sale is above the floor limit.
pub(super) fn online_only(tvr: Tvr) -> Tvr {
    tvr.with(TvrBit::OfflineDataAuthenticationNotPerformed)
        .with(TvrBit::FloorLimitExceeded)
}

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
