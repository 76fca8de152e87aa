//! Both ends of the vpcd protocol of vsmartcard: our card in anybody's reader ([`card`]), anybody's card at our terminals
//! ([`reader`]).
//!
//! Over TCP, the reader listens and speaks, the card connects and answers. A message is a length of 2 bytes, big-endian,
//! then the bytes.
//!
//! | length | bytes | meaning | answer |
//! |---|---|---|---|
//! | 1 | `00` | power off | none |
//! | 1 | `01` | power on | none |
//! | 1 | `02` | reset | none |
//! | 1 | `04` | what is your ATR? | ATR |
//! | 1 | other | nothing that vpcd sends | none |
//! | other | a command APDU | | response APDU |
//!
//! The card is at its contacts. One connection is one card in one reader, until it closes.

pub mod card;
pub mod reader;

const CONTROL_00_OFF: u8 = 0x00;
const CONTROL_01_ON: u8 = 0x01;
const CONTROL_02_RESET: u8 = 0x02;
const CONTROL_04_ATR: u8 = 0x04;
