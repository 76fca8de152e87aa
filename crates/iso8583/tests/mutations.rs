//! A million damaged messages: none panics, and whatever is still read is written back to the same bytes.

mod common;

use iso8583::build::MessageBuilder;
use iso8583::dialect::Dialect;
use iso8583::message::Message;

const MUTATIONS: u32 = 1_000_000;
const SEED: u64 = 0x8583_1987_5049_4E21;

/// Xorshift: the same mutations in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let roll = usize::try_from(self.0 >> 16).expect("48 bits");
        roll % bound
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).expect("below 256")
    }
}

#[test]
fn a_million_damaged_messages_are_read_or_refused_and_never_misread() {
    let dialect = Dialect::named("ascii-1987").unwrap();
    let sample = common::authorisation_request().frame;
    let mut dice = Dice(SEED);
    let (mut frame, mut again) = (Vec::new(), Vec::new());
    let mut read = 0;
    for round in 0..MUTATIONS {
        frame.clone_from(&sample);
        // Half of the damage goes to MTI, bitmap and the first lengths, where it reaches furthest.
        let reach = if round % 2 == 0 { 32 } else { frame.len() };
        for _ in 0..=dice.below(3) {
            let at = dice.below(reach);
            frame[at] = match dice.below(3) {
                0 => b'0' + dice.byte() % 10,
                1 => frame[at] ^ (1 << dice.below(8)),
                _ => dice.byte(),
            };
        }
        if dice.below(8) == 0 {
            frame.truncate(dice.below(sample.len()));
        }
        let Ok(message) = Message::parse(&frame, &dialect) else {
            continue;
        };
        read += 1;
        let mut builder = MessageBuilder::new(&dialect, message.mti());
        for field in message.fields() {
            builder.set(field, message.field(field).unwrap()).unwrap();
        }
        again.clear();
        builder.write_to(&mut again);
        assert_eq!(again, frame, "round {round} of seed {SEED:#x}");
    }
    assert!(
        read > MUTATIONS / 20,
        "only {read} were read: the test looks at refusals alone"
    );
    assert!(
        read < MUTATIONS * 19 / 20,
        "{read} were read: the damage does nothing"
    );
}
