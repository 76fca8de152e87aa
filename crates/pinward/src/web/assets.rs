//! Scripts, styles and pictures, inside the executable. Their address changes with their content.

use std::{fmt, sync::Arc};

use axum::{
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use super::{
    Web, WebSettings,
    told::{PageError, Told},
};

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

macro_rules! asset {
    ($name:literal, $mime:expr) => {
        (
            $name,
            $mime,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/web/", $name)),
        )
    };
}

const FILES: [(&str, &str, &str); 10] = [
    asset!("desk.js", JAVASCRIPT),
    asset!("envelope.js", JAVASCRIPT),
    asset!("guidance.js", JAVASCRIPT),
    asset!("page.js", JAVASCRIPT),
    asset!("pin-entry.js", JAVASCRIPT),
    asset!("pin-page.js", JAVASCRIPT),
    asset!("session.js", JAVASCRIPT),
    asset!("view-page.js", JAVASCRIPT),
    asset!("portal.css", CSS),
    asset!("mark.svg", "image/svg+xml"),
];

/// The embedded files, with the style that the issuer's settings make.
pub(super) struct Assets {
    build: String,
    theme: String,
}

impl Assets {
    pub(super) fn new(settings: &WebSettings) -> Self {
        let theme = format!(":root {{ --issuer: {}; }}\n", settings.accent);
        let mut hash = Sha256::new_with_prefix(&theme);
        for (name, _, content) in FILES {
            hash.update(name);
            hash.update(content);
        }
        let digest = hash.finalize();
        let build = data_encoding::HEXLOWER.encode(&digest).chars().take(12).collect();
        Self { build, theme }
    }

    /// Where the files are: `/assets/BUILD`.
    pub(super) fn root(&self) -> String {
        format!("/assets/{}", self.build)
    }

    fn find(&self, build: &str, name: &str) -> Option<(&'static str, String)> {
        if build != self.build {
            return None;
        }
        if name == "theme.css" {
            return Some((CSS, self.theme.clone()));
        }
        FILES
            .iter()
            .find(|(file, _, _)| *file == name)
            .map(|(_, mime, content)| (*mime, (*content).to_owned()))
    }
}

/// One file, to be kept for a year.
pub(super) async fn serve(
    State(web): State<Arc<Web>>,
    Path((build, name)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let (mime, content) = web
        .assets
        .find(&build, &name)
        .ok_or(PageError(Told::no_such_page()))?;
    let headers = [
        (header::CONTENT_TYPE, mime),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, content).into_response())
}

/// A colour of the issuer: red, green and blue, written `#0b5c5c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Colour([u8; 3]);

impl Colour {
    pub(crate) const fn rgb(red: u8, green: u8, blue: u8) -> Self {
        Self([red, green, blue])
    }
}

impl TryFrom<String> for Colour {
    type Error = &'static str;

    /// Refuses anything but `#` and six hexadecimal digits.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let wanted = "a colour is # and six hexadecimal digits";
        let digits = text.strip_prefix('#').ok_or(wanted)?;
        let bytes = data_encoding::HEXLOWER_PERMISSIVE
            .decode(digits.as_bytes())
            .map_err(|_| wanted)?;
        bytes.try_into().map(Self).map_err(|_| wanted)
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}
