//! Message authentication codes: which bytes DE64 or DE128 covers. Keys and ciphers are elsewhere (room `hsm`).

use crate::build::{BuildError, MessageBuilder};
use crate::message::Message;

/// Bytes of a MAC in DE64 or DE128 (ISO 8583:1987).
pub const MAC_LEN: usize = 8;

const FIELD_64_MAC: u8 = 64;
const FIELD_128_MAC: u8 = 128;

/// A message's MAC and what it covers.
#[derive(Clone, Copy)]
pub struct MacField<'m> {
    /// All bytes before the MAC as the wire had them, MTI and bitmaps included, without the length header.
    pub covered: &'m [u8],
    /// The MAC.
    pub mac: [u8; MAC_LEN],
}

impl Message<'_> {
    /// The MAC that ends this message.
    ///
    /// `None` without one, and for a DE64 with fields after it: those would not be covered.
    pub fn mac(&self) -> Option<MacField<'_>> {
        if !matches!(self.fields().last()?, FIELD_64_MAC | FIELD_128_MAC) {
            return None;
        }
        let (covered, &mac) = self.frame().split_last_chunk()?;
        Some(MacField { covered, mac })
    }
}

impl MessageBuilder<'_> {
    /// Makes room for a MAC of zeros at the message's end: DE128 where a field above 64 is set, else DE64. To be called after
    /// all other fields are set; [`split_mac`] then finds the place in what is written.
    ///
    /// Refuses what [`MessageBuilder::set`] refuses.
    pub fn reserve_mac(&mut self) -> Result<&mut Self, BuildError> {
        let field = if self.has_second_bitmap() {
            FIELD_128_MAC
        } else {
            FIELD_64_MAC
        };
        self.set(field, &[0; MAC_LEN])
    }
}

/// Splits a message that was built with [`MessageBuilder::reserve_mac`], without its length header, into what the MAC
/// covers and the place to write it. `None` for fewer than 8 bytes.
///
/// ```
/// use iso8583::build::MessageBuilder;
/// use iso8583::dialect::Dialect;
/// use iso8583::mac::split_mac;
/// use iso8583::message::Message;
/// use iso8583::mti::MTI_0800_NETWORK_REQUEST;
///
/// let dialect = Dialect::named("ascii-1987")?;
/// let mut echo = MessageBuilder::new(&dialect, MTI_0800_NETWORK_REQUEST);
/// echo.set(11, b"000042")?.set(70, b"301")?.reserve_mac()?;
/// let mut frame = Vec::new();
/// echo.write_to(&mut frame);
/// let (covered, place) = split_mac(&mut frame).expect("a MAC was reserved");
/// assert_eq!(covered.len(), 4 + 16 + 6 + 3);
/// *place = *b"\x12\x34\x56\x78\x9A\xBC\xDE\xF0";
/// let read = Message::parse(&frame, &dialect)?;
/// assert_eq!(read.mac().map(|mac| mac.covered.len()), Some(29));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn split_mac(message: &mut [u8]) -> Option<(&[u8], &mut [u8; MAC_LEN])> {
    let (covered, place) = message.split_last_chunk_mut()?;
    Some((covered, place))
}

/// Shows how much is covered, never content.
impl std::fmt::Debug for MacField<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MacField({} bytes covered)", self.covered.len())
    }
}
