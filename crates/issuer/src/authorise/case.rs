//! One request with its card, and what the HSM is asked about both.

use cards::Timestamp;
use hsm::{CheckRequest, NewZonePin};

use super::chip_data::{ChipData, Unusable};
use super::{AuthorisationRequest, RequestKind, Transaction, decline};
use crate::Desk;
use crate::desk::OpenCard;

/// One request of the batch that still waits for its answer, with its card as it was read.
pub(super) struct Case<'a> {
    pub(super) index: usize,
    pub(super) request: &'a AuthorisationRequest,
    pub(super) chip: Result<Option<ChipData>, Unusable>,
    pub(super) card: OpenCard<'a>,
}

impl Case<'_> {
    /// The chip data, where they can be read.
    pub(super) fn chip(&self) -> Option<&ChipData> {
        self.chip.as_ref().ok()?.as_ref()
    }

    /// What the HSM is to check. The card's MAC is checked even where nothing else is.
    pub(super) fn check(&self, now: Timestamp) -> CheckRequest {
        let request = self.request;
        let nothing_else = CheckRequest {
            card: self.card.for_hsm(),
            cryptogram: None,
            pin: None,
            new_pin: None,
        };
        let cryptogram = self.chip().map(|chip| chip.cryptogram.clone());
        if request.kind == RequestKind::Advice {
            return CheckRequest {
                cryptogram,
                ..nothing_else
            };
        }
        if decline::outright(self, now).is_some() {
            return nothing_else;
        }
        let proven_or_waived = match self.chip() {
            // An old cryptogram proves that there was a card, not that it is here.
            Some(chip) => !self.card.state.is_replay(chip.atc),
            None => self.card.programme.pin_without_chip,
        };
        let comparable = proven_or_waived && self.card.state.tries.locked(now).is_none();
        CheckRequest {
            cryptogram,
            pin: request.pin.clone().filter(|_| comparable),
            new_pin: request
                .new_pin
                .clone()
                .filter(|_| {
                    comparable && request.transaction == Transaction::PinChange && request.decided_here()
                })
                .map(|pin| NewZonePin {
                    pin,
                    len_digits: self.card.programme.pin_len_digits,
                }),
            ..nothing_else
        }
    }

    /// Whether the terminal has used its unpredictable number for another valid cryptogram lately.
    pub(super) fn number_is_repeated(
        &self,
        desk: &Desk,
        cryptogram_valid: Option<bool>,
        now: Timestamp,
    ) -> bool {
        let (Some(chip), Some(terminal), Some(true)) = (self.chip(), self.request.terminal, cryptogram_valid)
        else {
            return false;
        };
        // An advice brings the number of its own transaction again, with the final cryptogram.
        self.request.kind == RequestKind::Request
            && desk.unpredictable_numbers.is_repeated(
                terminal,
                chip.unpredictable_number,
                chip.cryptogram.arqc,
                now,
            )
    }
}
