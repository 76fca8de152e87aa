//! `cardmembers.csv`.
//!
//! | column | value |
//! |---|---|
//! | `reference` | the issuer's own reference, unique, 1 to 64 characters |
//! | `name` | as they are addressed, 1 to 100 characters |
//! | `email` | where notices go |
//! | `user_id` | what they sign in with: 3 to 64 letters, digits, `.`, `-`, `_`, `@`; empty until they register |

use lettre::Address;
use store::NewCardmember;

use super::reader::Row;

pub(super) const COLUMNS: [&str; 4] = ["reference", "name", "email", "user_id"];

pub(super) fn parse(row: &mut Row<'_>) -> Option<NewCardmember> {
    let reference = row.get("reference", |text| printable(text, 64));
    let name = row.get("name", |text| printable(text, 100));
    let email = row.get("email", email);
    let user_id = row.get("user_id", user_id);
    Some(NewCardmember {
        reference: reference?,
        name: name?,
        email: email?,
        user_id: user_id?,
    })
}

pub(super) fn printable(text: &str, len_max: usize) -> Result<String, String> {
    let len = text.chars().count();
    if len == 0 || len > len_max || text.chars().any(char::is_control) {
        return Err(format!("1 to {len_max} printable characters are wanted"));
    }
    Ok(text.to_owned())
}

fn email(text: &str) -> Result<String, &'static str> {
    text.parse::<Address>()
        .map(|_| text.to_owned())
        .map_err(|_| "not a mail address")
}

fn user_id(text: &str) -> Result<Option<String>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_@".contains(&byte);
    if (3..=64).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(Some(text.to_owned()));
    }
    Err("3 to 64 letters, digits, full stops, hyphens, underscores or @ are wanted")
}
