//! A terminal's side of a card, whatever the card is: one in this process, or one that came over a network.

use crate::card::chip::{Chip, Interface};
use crate::card::tear::Tear;

/// A card that a terminal can give power and commands.
pub trait Card: Send {
    /// Puts the card into the reader or the field.
    fn power_on(&mut self, interface: Interface);

    /// Takes it out.
    fn power_off(&mut self);

    /// Orders a cut of its power, at the moment told or as near to it as this card can be cut.
    fn tear(&mut self, tear: Tear);

    /// Answers one command APDU: at least 2 bytes, or none where the card is gone.
    fn transmit(&mut self, apdu: &[u8]) -> Vec<u8>;
}

impl Card for Chip {
    fn power_on(&mut self, interface: Interface) {
        Chip::power_on(self, interface);
    }

    fn power_off(&mut self) {
        Chip::power_off(self);
    }

    fn tear(&mut self, tear: Tear) {
        Chip::tear(self, tear);
    }

    fn transmit(&mut self, apdu: &[u8]) -> Vec<u8> {
        Chip::transmit(self, apdu)
    }
}
