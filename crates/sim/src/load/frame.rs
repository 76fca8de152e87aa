//! One request, written once and then patched in place: a message costs the client a copy of some 200 bytes.

use std::ops::Range;

use iso8583::build::BuildError;
use iso8583::framing::Framing;
use iso8583::mti::MTI_0100_AUTHORISATION_REQUEST;
use iso8583::values;

use super::stock::{EXPIRY, LoadCard};
use crate::acquirer::Acquirer;
use crate::acquirer::message::Message;

/// Trace numbers (DE11) start over after this many messages.
pub(super) const TRACES: u32 = 1_000_000;

/// An 0100 for goods, magnetic stripe with online PIN, framed.
pub(super) struct RequestFrame {
    bytes: Vec<u8>,
    pan: Range<usize>,
    pan_in_track: Range<usize>,
    transmitted: Range<usize>,
    trace: Range<usize>,
    trace_in_reference: Range<usize>,
    pin_block: Range<usize>,
}

impl RequestFrame {
    /// The request of this acquirer, with the card as its first.
    ///
    /// Refuses a PIN block that isn't as long as the dialect's.
    pub(super) fn new(acquirer: &Acquirer, card: LoadCard<'_>) -> Result<Self, BuildError> {
        let mut message = Message::new(MTI_0100_AUTHORISATION_REQUEST);
        acquirer.identify(&mut message);
        message.put(2, card.pan);
        message.put(3, *b"000000");
        message.put(4, *b"000000004200");
        message.put(14, EXPIRY);
        message.put(18, *b"5411");
        message.put(22, *b"901");
        message.put(25, *b"00");
        message.put(35, [card.pan, b"=", EXPIRY.as_bytes(), b"20100000000"].concat());
        message.put(41, *b"LOAD0001");
        message.put(42, *b"LOAD GENERATOR ");
        message.put(49, *b"978");
        message.put(52, card.right);
        let frame = message.to_frame(acquirer.dialect())?;
        let mut bytes = Vec::new();
        Framing::default()
            .append(&mut bytes, |out| out.extend_from_slice(&frame))
            .expect("some 200 bytes are a frame");

        let read = iso8583::message::Message::parse(&frame, acquirer.dialect()).expect("it was just built");
        let header_len = Framing::default().header_len();
        let place = |number: u8| {
            let value = read.field(number).expect("it was just put");
            let begin = header_len + value.as_ptr().addr() - frame.as_ptr().addr();
            begin..begin + value.len()
        };
        let (track, reference) = (place(35), place(37));
        Ok(Self {
            pan: place(2),
            pan_in_track: track.start..track.start + card.pan.len(),
            transmitted: place(7),
            trace: place(11),
            trace_in_reference: reference.end - 6..reference.end,
            pin_block: place(52),
            bytes,
        })
    }

    /// Sets DE7, which changes once a second.
    pub(super) fn set_transmitted(&mut self, transmitted: &[u8; 10]) {
        put(&mut self.bytes, &self.transmitted, transmitted);
    }

    /// Appends the request for a card. `trace` is below [`TRACES`].
    pub(super) fn append_to(&mut self, out: &mut Vec<u8>, pan: &[u8], pin_block: &[u8], trace: u32) {
        let trace: [u8; 6] = values::digits(trace.into()).expect("trace numbers have six digits");
        put(&mut self.bytes, &self.pan, pan);
        put(&mut self.bytes, &self.pan_in_track, pan);
        put(&mut self.bytes, &self.trace, &trace);
        put(&mut self.bytes, &self.trace_in_reference, &trace);
        put(&mut self.bytes, &self.pin_block, pin_block);
        out.extend_from_slice(&self.bytes);
    }
}

fn put(bytes: &mut [u8], place: &Range<usize>, value: &[u8]) {
    bytes
        .get_mut(place.clone())
        .expect("places were found in these very bytes")
        .copy_from_slice(value);
}

#[cfg(test)]
mod tests {
    use iso8583::dialect::Dialect;
    use paycrypto::tdes_key::Tdes2Key;

    use super::*;
    use crate::acquirer::zone_key::ZoneKey;

    #[test]
    fn a_patched_frame_is_the_message_that_was_meant() {
        let dialect = Dialect::named("ascii-1987").unwrap();
        let zone_key = ZoneKey::Tdes(Tdes2Key::from_bytes(b"0123456789abcdef"));
        let acquirer = Acquirer::new("127.0.0.1:1".into(), dialect, "123456".into(), zone_key).unwrap();
        let first = LoadCard {
            pan: b"9999010000000011",
            right: &[1; 8],
            wrong: &[2; 8],
        };
        let mut frame = RequestFrame::new(&acquirer, first).unwrap();
        frame.set_transmitted(b"1122170000");
        let mut out = Vec::new();
        frame.append_to(&mut out, b"9999010000000029", &[3; 8], 42);
        frame.append_to(&mut out, b"9999010000000037", &[4; 8], 43);

        let mut reader = iso8583::framing::FrameReader::new(Framing::default());
        reader.push(&out);
        for (pan, block, trace) in [
            (b"9999010000000029", [3; 8], b"000042"),
            (b"9999010000000037", [4; 8], b"000043"),
        ] {
            let sent = reader.next_frame().unwrap().unwrap();
            let sent = iso8583::message::Message::parse(sent, acquirer.dialect()).unwrap();
            assert_eq!(sent.field(2), Some(&pan[..]));
            assert!(sent.field(35).unwrap().starts_with(pan));
            assert_eq!(sent.field(7), Some(&b"1122170000"[..]));
            assert_eq!(sent.field(11), Some(&trace[..]));
            assert!(sent.field(37).unwrap().ends_with(trace));
            assert_eq!(sent.field(52), Some(&block[..]));
        }
    }
}
