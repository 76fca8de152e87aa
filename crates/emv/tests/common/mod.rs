//! What the tests share: published examples by name, and hexadecimal digits.

#![allow(dead_code, reason = "each test uses a part of this")]

/// An example of `vectors/published.txt`.
pub(crate) fn published(name: &str) -> Vec<u8> {
    let text = include_str!("../vectors/published.txt");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    unhex(line.expect("the example is in the file"))
}

/// Bytes of hexadecimal digits; blanks are left out.
pub(crate) fn unhex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b' ').collect();
    let (pairs, odd) = digits.as_chunks::<2>();
    assert!(odd.is_empty(), "an odd number of digits");
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16);
    pairs
        .iter()
        .map(|pair| byte(pair).expect("hexadecimal digits"))
        .collect()
}
