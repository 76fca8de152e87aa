//! Damage that knows what it damages: bytes and bits anywhere, digits, lengths, data objects, bitmaps, and pieces of other
//! inputs. The same dice give the same damage.

use emv::tlv;

/// Longest input made: beyond the longest message and its header.
pub const INPUT_LEN_MAX: usize = 6000;

/// Bytes that mean something to some reader: ends of ranges, lengths of BER, digits, separators, templates.
const TELLING: [u8; 22] = [
    0x00, 0x01, 0x7F, 0x80, 0x81, 0x82, 0x83, 0xFE, 0xFF, b'0', b'9', b'=', b'D', b'F', b' ', 0xF0, 0xF9,
    0x1F, 0x9F, 0x71, 0x72, 0x86,
];

/// Xorshift.
pub struct Dice(u64);

impl Dice {
    /// Dice of a seed, which may not be zero.
    pub fn new(seed: u64) -> Self {
        assert!(seed != 0);
        Self(seed)
    }

    /// 0 up to below the bound, which may not be zero.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).expect("48 bits") % bound
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).expect("below 256")
    }
}

/// Makes an input out of one of the corpus, with up to five kinds of damage.
pub fn mutate(corpus: &[Vec<u8>], dice: &mut Dice, out: &mut Vec<u8>) {
    out.clone_from(&corpus[dice.below(corpus.len())]);
    for _ in 0..=dice.below(5) {
        damage(corpus, dice, out);
    }
    out.truncate(INPUT_LEN_MAX);
}

fn damage(corpus: &[Vec<u8>], dice: &mut Dice, out: &mut Vec<u8>) {
    if out.is_empty() {
        out.push(dice.byte());
        return;
    }
    // Half of the damage goes to the beginning, where headers, bitmaps and first lengths are.
    let reach = if dice.below(2) == 0 {
        out.len().min(24)
    } else {
        out.len()
    };
    let at = dice.below(reach);
    match dice.below(12) {
        0 => out[at] ^= 1 << dice.below(8),
        1 => out[at] = dice.byte(),
        2 => out[at] = TELLING[dice.below(TELLING.len())],
        3 => out[at] = b'0' + dice.byte() % 10,
        4 => out[at] = out[at].wrapping_add(1),
        5 => out[at] = out[at].wrapping_sub(1),
        6 => out.truncate(at),
        7 => out.insert(at, TELLING[dice.below(TELLING.len())]),
        8 => {
            let end = at + dice.below(out.len() - at).min(64);
            out.drain(at..end);
        }
        9 => {
            let end = at + dice.below(out.len() - at).min(64);
            let piece = out[at..end].to_vec();
            for _ in 0..=dice.below(4) {
                out.splice(at..at, piece.iter().copied());
            }
        }
        10 => {
            let other = &corpus[dice.below(corpus.len())];
            out.truncate(at);
            out.extend(other.iter().skip(dice.below(other.len().max(1))));
        }
        _ => damage_objects(dice, out),
    }
}

/// Repeats, drops, swaps or resizes whole data objects, and writes the rest well-formed again.
fn damage_objects(dice: &mut Dice, out: &mut Vec<u8>) {
    let mut objects: Vec<(tlv::Tag, Vec<u8>)> = match tlv::parse(out) {
        Ok(objects) if !objects.is_empty() => objects
            .iter()
            .map(|object| (object.tag, object.value.to_vec()))
            .collect(),
        _ => return,
    };
    let at = dice.below(objects.len());
    match dice.below(5) {
        0 => objects.push(objects[at].clone()),
        1 => drop(objects.swap_remove(at)),
        2 => objects[at].1.push(dice.byte()),
        3 => drop(objects[at].1.pop()),
        _ => {
            let mut inner = std::mem::take(&mut objects[at].1);
            damage_objects(dice, &mut inner);
            objects[at].1 = inner;
        }
    }
    out.clear();
    for (tag, value) in objects {
        tlv::put(out, tag, &value);
    }
}
