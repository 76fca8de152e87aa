//! The files a browser is served, held in the program itself.

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

const TEXT_JAVASCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! module {
    ($name:literal) => {
        (
            $name,
            TEXT_JAVASCRIPT,
            include_str!(concat!("../../assets/", $name)),
        )
    };
}

/// A style sheet.
macro_rules! style {
    ($name:literal) => {
        (
            $name,
            "text/css; charset=utf-8",
            include_str!(concat!("../../assets/", $name)),
        )
    };
}

/// Name, media type, content.
const ASSETS: &[(&str, &str, &str)] = &[
    style!("frame.css"),
    style!("wallet.css"),
    style!("places.css"),
    style!("station.css"),
    style!("sequence.css"),
    style!("mail.css"),
    style!("bench.css"),
    ("mark.svg", "image/svg+xml", include_str!("../../assets/mark.svg")),
    module!("api.js"),
    module!("atm.js"),
    module!("bench.js"),
    module!("device.js"),
    module!("dom.js"),
    module!("keypad.js"),
    module!("letter.js"),
    module!("mails.js"),
    module!("main.js"),
    module!("money.js"),
    module!("online.js"),
    module!("places.js"),
    module!("poll.js"),
    module!("receipt.js"),
    module!("sequence.js"),
    module!("shop.js"),
    module!("tabs.js"),
    module!("tour.js"),
    module!("tour_steps.js"),
    module!("unread.js"),
    module!("wallet.js"),
];

pub(super) async fn asset(Path(name): Path<String>) -> Response {
    let found = ASSETS.iter().find(|(asset, _, _)| *asset == name);
    found.map_or_else(
        || StatusCode::NOT_FOUND.into_response(),
        |(_, media_type, content)| {
            let headers = [
                (header::CONTENT_TYPE, *media_type),
                (header::CACHE_CONTROL, "no-cache"),
            ];
            (headers, *content).into_response()
        },
    )
}
