//! The demo's test bench: a programme and a card of every chip profile, for the sandbox's page of that name.

use std::fmt::Write as _;

use super::issuer::DemoCard;

/// Who holds the bench's cards. Signs in nowhere.
pub(super) const HOLDER: &str = "LB-9000";
pub(super) const HOLDER_NAME: &str = "Test Bench";

/// Profile (and id of its programme), the programme's name, and the card's number.
const PROFILES: [(&str, &str, &str); 12] = [
    ("visa-cvn10", "Visa CVN 10", "9999030000000019"),
    ("visa-cvn18", "Visa CVN 18", "9999030000000027"),
    ("visa-cvn22", "Visa CVN 22", "9999030000000035"),
    ("mastercard-cvn16", "M/Chip CVN 16", "9999030000000043"),
    ("mastercard-cvn17", "M/Chip CVN 17", "9999030000000050"),
    ("mastercard-cvn20", "M/Chip CVN 20", "9999030000000068"),
    ("mastercard-cvn21", "M/Chip CVN 21", "9999030000000076"),
    ("interac-cvn133", "Interac CVN 133", "9999030000000084"),
    ("ccd-tdes", "CCD TDES", "9999030000000092"),
    ("ccd-aes", "CCD AES", "9999030000000100"),
    ("emv2000", "EMV2000", "9999030000000118"),
    ("amex-unverified", "Amex unverified", "9999030000000126"),
];

/// `[[programme]]` of every profile.
///
/// Their scripts follow the default rules of each profile, as an issuer has them who knows no more of its product. The bench
/// unlocks its cards as often as somebody presses Play.
pub(super) fn programmes() -> String {
    let mut text = String::new();
    for (profile, name, _) in PROFILES {
        let _ = write!(
            text,
            r#"
[[programme]]
id = "bench-{profile}"
name = "{name}"
scheme = "{profile}"
pan_len_digits = 16
pin_len_digits = 4
tries_max = 3
unlocks_max = 255
amount_max_minor = 200000
amount_without_pin_max_minor = 5000
currency = 978
"#
        );
    }
    text
}

/// A card of every profile, with a PIN.
pub(super) fn cards() -> impl Iterator<Item = DemoCard> {
    PROFILES.into_iter().map(|(profile, _, pan)| DemoCard {
        cardmember: HOLDER,
        pan,
        programme: format!("bench-{profile}"),
        role: "basic",
        status: "active",
        has_pin: true,
    })
}
