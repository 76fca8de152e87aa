//! Random bytes of the operating system, for keys, nonces and fill.

use zeroize::Zeroizing;

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// Random bytes that are a secret.
pub(crate) fn secret_bytes(len: usize) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(vec![0; len]);
    fill(&mut bytes);
    bytes
}

/// Uniform decimal digits, ASCII, by rejection sampling.
pub(crate) fn decimal_digits(len: usize) -> String {
    std::iter::repeat_with(bytes::<1>)
        .filter(|[byte]| *byte < 250)
        .take(len)
        .map(|[byte]| char::from(b'0' + byte % 10))
        .collect()
}

fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("Linux gives random bytes once it has booted");
}
