//! An HSM that doesn't do what it should: a sound one, whose answers are spoilt on their way back.

use std::sync::Arc;

use async_trait::async_trait;
use cards::{CardKey, Pan, PinReference, SealedPan, SealedPin};
use hsm::{
    CheckReply, CheckRequest, ChipAnswer, ChipAnswerRequest, ClearMessage, DeskRecord, DeskRecordMac,
    EnvelopeOffer, EnvelopeRequest, HsmCard, HsmError, HsmFault, HsmRefusal, ImportPin, Item, MessageToMac,
    MessageWithMac, PaymentHsm, PinChange, RevealWhich, RevealedPin, SealedEnvelope, StateMac, StateToSeal,
};
use tokio::sync::Barrier;

use super::Bank;

/// A call that takes a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    CardKeys,
    SealPans,
    SealStates,
    Check,
    AnswerChip,
    ImportPins,
    CanCompare,
}

/// What is odd about it.
pub(crate) enum Oddity {
    /// A chip's answer with a script is refused; the same without one is made.
    NoScripts(HsmRefusal),
    /// Every chip's answer is refused.
    NoChipAnswers(HsmRefusal),
    /// The call for chips' answers isn't answered at all.
    ChipAnswersFail,
    /// Chips' answers lack the last of their script commands.
    ScriptsCutShort,
    /// No call is answered.
    Down,
    /// Answers one item fewer than it was asked.
    Short(Call),
    /// Answers one item more.
    Long(Call),
    /// Seals states for as many callers at once as the barrier wants, none earlier.
    SealsTogether(Barrier),
}

pub(crate) struct OddHsm {
    sound: Arc<dyn PaymentHsm>,
    oddity: Oddity,
}

impl Bank {
    /// The same bank with this HSM between the desk and its own.
    pub(crate) fn with_odd_hsm(&mut self, oddity: Oddity) {
        let sound = Arc::clone(&self.desk.hsm);
        self.desk.hsm = Arc::new(OddHsm { sound, oddity });
    }
}

impl OddHsm {
    fn up(&self) -> Result<(), HsmFault> {
        match self.oddity {
            Oddity::Down => Err(HsmFault::NoAnswer("it is down".to_owned())),
            _ => Ok(()),
        }
    }

    fn counted<T: Clone>(&self, call: Call, mut answers: Vec<T>) -> Vec<T> {
        match self.oddity {
            Oddity::Short(short) if short == call => {
                answers.pop();
            }
            Oddity::Long(long) if long == call => answers.extend(answers.last().cloned()),
            _ => {}
        }
        answers
    }

    fn spoilt(&self, made: Item<ChipAnswer>, with_script: bool) -> Item<ChipAnswer> {
        match self.oddity {
            Oddity::NoScripts(refusal) if with_script => Err(refusal),
            Oddity::NoChipAnswers(refusal) => Err(refusal),
            Oddity::ScriptsCutShort => made.map(|mut made| {
                made.commands.pop();
                made
            }),
            _ => made,
        }
    }
}

#[async_trait]
impl PaymentHsm for OddHsm {
    async fn card_keys(&self, pans: Vec<Pan>) -> Result<Vec<CardKey>, HsmFault> {
        self.up()?;
        Ok(self.counted(Call::CardKeys, self.sound.card_keys(pans).await?))
    }

    async fn seal_pans(&self, pans: Vec<Pan>) -> Result<Vec<SealedPan>, HsmFault> {
        Ok(self.counted(Call::SealPans, self.sound.seal_pans(pans).await?))
    }

    async fn seal_states(&self, states: Vec<StateToSeal>) -> Result<Vec<StateMac>, HsmFault> {
        if let Oddity::SealsTogether(barrier) = &self.oddity {
            barrier.wait().await;
        }
        Ok(self.counted(Call::SealStates, self.sound.seal_states(states).await?))
    }

    async fn mac_desk_records(&self, records: Vec<DeskRecord>) -> Result<Vec<DeskRecordMac>, HsmFault> {
        self.sound.mac_desk_records(records).await
    }

    async fn check(&self, requests: Vec<CheckRequest>) -> Result<Vec<Item<CheckReply>>, HsmFault> {
        self.up()?;
        Ok(self.counted(Call::Check, self.sound.check(requests).await?))
    }

    async fn answer_chip(&self, requests: Vec<ChipAnswerRequest>) -> Result<Vec<Item<ChipAnswer>>, HsmFault> {
        if matches!(self.oddity, Oddity::ChipAnswersFail) {
            return Err(HsmFault::NoAnswer("the connection was lost".to_owned()));
        }
        let with_script: Vec<bool> = requests.iter().map(|order| !order.scripts.is_empty()).collect();
        let made = self.sound.answer_chip(requests).await?;
        let made = made.into_iter().zip(with_script);
        let spoilt = made.map(|(made, with_script)| self.spoilt(made, with_script));
        Ok(self.counted(Call::AnswerChip, spoilt.collect()))
    }

    async fn make_macs(&self, messages: Vec<MessageToMac>) -> Result<Vec<Item<[u8; 8]>>, HsmFault> {
        self.sound.make_macs(messages).await
    }

    async fn check_macs(&self, messages: Vec<MessageWithMac>) -> Result<Vec<Item<bool>>, HsmFault> {
        self.sound.check_macs(messages).await
    }

    async fn import_pins(&self, pins: Vec<ImportPin>) -> Result<Vec<Item<SealedPin>>, HsmFault> {
        Ok(self.counted(Call::ImportPins, self.sound.import_pins(pins).await?))
    }

    async fn can_compare(&self, references: Vec<PinReference>) -> Result<Vec<Item<()>>, HsmFault> {
        Ok(self.counted(Call::CanCompare, self.sound.can_compare(references).await?))
    }

    async fn move_pin(&self, card: HsmCard, pan: Pan) -> Result<SealedPin, HsmError> {
        self.sound.move_pin(card, pan).await
    }

    async fn open_envelope(&self, request: EnvelopeRequest) -> Result<EnvelopeOffer, HsmError> {
        self.sound.open_envelope(request).await
    }

    async fn create_pin(&self, card: HsmCard, envelope: SealedEnvelope) -> Result<SealedPin, HsmError> {
        self.sound.create_pin(card, envelope).await
    }

    async fn change_pin(&self, card: HsmCard, envelope: SealedEnvelope) -> Result<PinChange, HsmError> {
        self.sound.change_pin(card, envelope).await
    }

    async fn reveal_pin(
        &self,
        card: HsmCard,
        which: RevealWhich,
        envelope: SealedEnvelope,
    ) -> Result<RevealedPin, HsmError> {
        self.sound.reveal_pin(card, which, envelope).await
    }

    async fn seal_messages(&self, messages: Vec<ClearMessage>) -> Result<Vec<Vec<u8>>, HsmFault> {
        self.sound.seal_messages(messages).await
    }

    async fn open_messages(&self, sealed: Vec<Vec<u8>>) -> Result<Vec<Option<ClearMessage>>, HsmFault> {
        self.sound.open_messages(sealed).await
    }

    async fn anchor_audit(&self, sequence: u64, hash: [u8; 32]) -> Result<[u8; 16], HsmFault> {
        self.sound.anchor_audit(sequence, hash).await
    }
}
