//! What the pages share: the frame around them, a card as it is shown, the error page.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse, Response},
};
use cards::{Advice, AdviceCode, CardRef, CardStatus, ChipBasis, PlaceState, Timestamp};
use issuer::{
    Refusal,
    card_status::{CardReport, own_card_status},
};
use store::CardRecord;

use super::{
    Web,
    session::{self, SignedIn},
    told::{JsonError, PageError, Told},
};

/// Where in the portal a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Outside,
    Cards,
    Manage,
    Activate,
    Create,
    Change,
    View,
    Unlock,
}

impl Place {
    /// What its link, its page and its button are called.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Outside => "Sign in",
            Self::Cards => "Your cards",
            Self::Manage => "Manage Card PIN",
            Self::Activate => "Activate card",
            Self::Create => "Create PIN",
            Self::Change => "Change PIN",
            Self::View => "View PIN",
            Self::Unlock => "Unlock PIN",
        }
    }

    /// Its address, for the card with this reference.
    pub(super) fn address(self, reference: &str) -> String {
        match self {
            Self::Outside => "/sign-in".to_owned(),
            Self::Cards => "/".to_owned(),
            Self::Manage => format!("/cards/{reference}/pin"),
            Self::Activate => format!("/cards/{reference}/activate"),
            Self::Create => format!("/cards/{reference}/pin/create"),
            Self::Change => format!("/cards/{reference}/pin/change"),
            Self::View => format!("/cards/{reference}/pin/view"),
            Self::Unlock => format!("/cards/{reference}/pin/unlock"),
        }
    }

    /// What it is good for, in one line.
    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::Outside | Self::Cards | Self::Manage => "",
            Self::Activate => "You have the card in your hand",
            Self::Create => "Choose the PIN of this card",
            Self::Change => "You know your current PIN",
            Self::View => "You have forgotten your PIN",
            Self::Unlock => "Too many wrong tries",
        }
    }

    /// Stable name in `data-test` attributes.
    pub(super) fn slug(self) -> &'static str {
        match self {
            Self::Outside => "sign-in",
            Self::Cards => "cards",
            Self::Manage => "manage",
            Self::Activate => "activate",
            Self::Create => "create",
            Self::Change => "change",
            Self::View => "view",
            Self::Unlock => "unlock",
        }
    }
}

/// The frame around a page.
pub(super) struct Chrome {
    pub(super) issuer: String,
    /// Where scripts and styles are.
    pub(super) assets: String,
    pub(super) sandbox: Option<String>,
    pub(super) session: Option<SessionChrome>,
    pub(super) card: Option<CardChrome>,
    pub(super) place: Place,
}

/// What the frame knows of the session, in milliseconds.
pub(super) struct SessionChrome {
    pub(super) idle_ms: i64,
    pub(super) left_ms: i64,
}

/// The card that the page is about.
pub(super) struct CardChrome {
    pub(super) reference: String,
    pub(super) last_four: String,
}

impl Chrome {
    /// For a page that anybody may see.
    pub(super) fn outside(web: &Web) -> Self {
        Self {
            issuer: web.settings.issuer_name.clone(),
            assets: web.assets.root(),
            sandbox: web.settings.demo_sandbox_url.clone(),
            session: None,
            card: None,
            place: Place::Outside,
        }
    }

    pub(super) fn inside(web: &Web, signed_in: &SignedIn, card: Option<&CardView>, place: Place) -> Self {
        let card = card.map(|card| CardChrome {
            reference: card.reference.clone(),
            last_four: card.last_four.clone(),
        });
        let session = SessionChrome {
            idle_ms: web.settings.session_idle_ms,
            left_ms: signed_in.left_ms,
        };
        Self {
            session: Some(session),
            card,
            place,
            ..Self::outside(web)
        }
    }

    /// The pages about one card's PIN, as the side navigation lists them.
    pub(super) fn pin_places(&self) -> [Place; 4] {
        [Place::Create, Place::Change, Place::View, Place::Unlock]
    }
}

/// A card as it is shown to its cardmember.
pub(super) struct CardView {
    pub(super) row: CardRef,
    pub(super) reference: String,
    pub(super) last_four: String,
    pub(super) status: CardStatus,
    /// As printed, MM/YY.
    pub(super) expiry: String,
    pub(super) programme: String,
    pub(super) issuer: String,
    pub(super) name: String,
    pub(super) supplementary: bool,
    pub(super) pan_len_digits: u8,
    pub(super) pin_len_digits: u8,
    /// One of a few designs, by programme.
    pub(super) art: usize,
    pub(super) advice: Advice,
    pub(super) report: CardReport,
}

/// Card designs in the style sheet.
const ART_COUNT: usize = 3;

impl CardView {
    pub(super) fn new(web: &Web, signed_in: &SignedIn, record: &CardRecord, report: CardReport) -> Self {
        let programme = web
            .desk
            .programmes
            .get(&record.programme)
            .expect("the report was made with this programme");
        let earlier = web
            .desk
            .programmes
            .keys()
            .filter(|id| id.0 < programme.id.0)
            .count();
        let art = earlier % ART_COUNT;
        Self {
            row: record.key.row,
            reference: report.card.clone(),
            last_four: report.last_four.clone(),
            status: match report.status {
                "inactive" => CardStatus::Inactive,
                "active" => CardStatus::Active,
                // Or expired: nothing can be done with it either.
                _ => CardStatus::Blocked,
            },
            expiry: report.expiry.clone(),
            programme: report.programme.clone(),
            issuer: web.settings.issuer_name.clone(),
            name: signed_in.cardmember.name.clone(),
            supplementary: matches!(record.role, cards::CardRole::Supplementary),
            pan_len_digits: programme.pan_len_digits,
            pin_len_digits: programme.pin_len_digits,
            art,
            advice: report.advice,
            report,
        }
    }

    /// The number as it is embossed, dots but for the last four: in fours, or 4, 6 and 5 where it has 15 digits.
    pub(super) fn masked(&self) -> String {
        let dots = usize::from(self.pan_len_digits).saturating_sub(self.last_four.len());
        let digits = format!("{}{}", "•".repeat(dots), self.last_four);
        let ends_group = |at: usize| match self.pan_len_digits {
            15 => at == 4 || at == 10,
            _ => at > 0 && at.is_multiple_of(4),
        };
        let mut masked = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if ends_group(at) {
                masked.push('\u{a0}');
            }
            masked.push(digit);
        }
        masked
    }

    pub(super) fn status_label(&self) -> &'static str {
        match self.status {
            _ if self.is_expired() => "Expired",
            CardStatus::Inactive => "Not active yet",
            CardStatus::Active => "Active",
            CardStatus::Blocked => "Blocked",
        }
    }

    pub(super) fn is_expired(&self) -> bool {
        self.advice.code == AdviceCode::CardExpired
    }

    /// What makes sense now, the best first.
    pub(super) fn places_now(&self) -> Vec<Place> {
        let mut places = match self.advice.code {
            AdviceCode::CardBlocked | AdviceCode::CardExpired => return Vec::new(),
            AdviceCode::CardInactive => return vec![Place::Activate],
            AdviceCode::NoPin | AdviceCode::PinWornOut => return vec![Place::Create],
            AdviceCode::PinUnlocksUsedUp | AdviceCode::PinLockedForLong => return Vec::new(),
            AdviceCode::PinLocked => return vec![Place::Unlock],
            AdviceCode::ChipLocked => vec![Place::Unlock],
            AdviceCode::ChipUnlocksUsedUp
            | AdviceCode::ChipUnlockWaits
            | AdviceCode::ChipNeedsAttention
            | AdviceCode::ChipHasPrevious
            | AdviceCode::ChipHasNone
            | AdviceCode::ChipConfirming
            | AdviceCode::ChipUnknown
            | AdviceCode::UpToDate => Vec::new(),
        };
        places.push(Place::Change);
        if self.report.host.viewable || !self.report.chip.viewable_versions.is_empty() {
            places.push(Place::View);
        }
        places
    }

    /// What a new PIN will mean in shops.
    pub(super) fn after_a_new_pin(&self) -> &'static str {
        match self.advice.chip {
            PlaceState::New | PlaceState::Previous => {
                "In shops, insert your card once with the PIN that they take now; then the new one works there too."
            }
            PlaceState::NotInUse | PlaceState::None | PlaceState::Unknown | PlaceState::Locked => {
                "In shops, insert your card once; then the new one works there too."
            }
        }
    }

    /// The advice's stable code, as in the API.
    pub(super) fn advice_code(&self) -> String {
        let code = serde_json::to_value(self.advice.code).expect("a code is a plain name");
        code.as_str().unwrap_or_default().to_owned()
    }

    /// Whether a shop may ask for another PIN than a cash machine does.
    pub(super) fn chip_may_hold_previous(&self) -> bool {
        matches!(self.advice.chip, PlaceState::Previous | PlaceState::Unknown)
            && self.status == CardStatus::Active
    }

    /// The PIN that the chip may still hold and that can be looked up: the latest before the host's.
    pub(super) fn previous_viewable(&self) -> Option<u32> {
        self.report.chip.viewable_versions.iter().max().copied()
    }

    /// Which PIN the chip has, and how we know.
    pub(super) fn chip_pin(&self) -> String {
        let chip = &self.report.chip;
        let pin = match chip.known_version {
            None => return "not certain".to_owned(),
            Some(0) => "none".to_owned(),
            Some(version) => format!("number {version}"),
        };
        match chip.basis {
            ChipBasis::Proven => format!("{pin}, confirmed by the chip"),
            ChipBasis::Personalised | ChipBasis::Possible => {
                format!("{pin}, as the card was made; the chip itself hasn't told us yet")
            }
        }
    }

    /// The bank's place: cash machines, and shops that ask the bank.
    pub(super) fn bank(&self) -> PlaceWords {
        PlaceWords::of(self.advice.host, self.is_settled())
    }

    /// The chip's place: shops with the card inserted.
    pub(super) fn chip(&self) -> PlaceWords {
        PlaceWords::of(self.advice.chip, self.is_settled())
    }

    /// The expiry of a card to be activated is on its plastic only: typing it shows that the card arrived.
    pub(super) fn shows_expiry(&self) -> bool {
        self.status != CardStatus::Inactive
    }

    /// The state that colours the drawing's line: `same`, `waits` or `stop`.
    pub(super) fn line(&self) -> &'static str {
        match (self.advice.host, self.advice.chip) {
            (PlaceState::New, PlaceState::New) => "same",
            (PlaceState::Locked, _) | (_, PlaceState::Locked) => "stop",
            _ => "waits",
        }
    }

    fn is_settled(&self) -> bool {
        self.advice.code == AdviceCode::UpToDate
    }
}

/// The state of the PIN in one place, as the drawing says it.
pub(super) struct PlaceWords {
    /// `good`, `wait`, `stop` or `none`: for the style sheet.
    pub(super) tone: &'static str,
    pub(super) words: &'static str,
}

impl PlaceWords {
    fn of(state: PlaceState, settled: bool) -> Self {
        let (tone, words) = match state {
            PlaceState::New if settled => ("good", "Up to date"),
            PlaceState::New => ("good", "New PIN"),
            PlaceState::Previous => ("wait", "Previous PIN"),
            PlaceState::Unknown => ("wait", "Not confirmed yet"),
            PlaceState::Locked => ("stop", "Locked"),
            PlaceState::None => ("none", "No PIN"),
            PlaceState::NotInUse => ("none", "Not in use"),
        };
        Self { tone, words }
    }
}

/// Reads a card reference from an address. What isn't one is nobody's card.
pub(super) fn card_ref(text: &str) -> Result<CardRef, Refusal> {
    text.parse().map_err(|_| Refusal::NotYourCard)
}

/// The cardmember's own card. Another's card and no card give the same refusal (I12).
pub(super) async fn own_card(
    web: &Web,
    signed_in: &SignedIn,
    reference: &str,
) -> Result<CardView, PageError> {
    let row = card_ref(reference)?;
    let report = own_card_status(&web.desk, row, &signed_in.actor, web.now()).await?;
    let record = web.desk.store.card(row).await?.ok_or(Refusal::NotYourCard)?;
    Ok(CardView::new(web, signed_in, &record, report))
}

/// A moment as people read it, in UTC: `22 November 2026, 16:05 UTC`.
pub(super) fn day_and_time(moment: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(moment.0) {
        Ok(moment) => moment.strftime("%-d %B %Y, %H:%M UTC").to_string(),
        Err(_) => "a later day".to_owned(),
    }
}

/// A page as an answer.
pub(super) fn html(status: StatusCode, page: &impl Template) -> Response {
    let text = page
        .render()
        .expect("pages are rendered into memory from values that always print");
    (status, Html(text)).into_response()
}

#[derive(Template)]
#[template(path = "web/error.html")]
struct ErrorPage {
    chrome: Chrome,
    told: Told,
    /// The ways on, the best first.
    ways: Vec<Way>,
}

/// A link as a button.
struct Way {
    address: String,
    label: &'static str,
}

impl Way {
    fn to(place: Place, reference: &str) -> Self {
        Self {
            address: place.address(reference),
            label: place.label(),
        }
    }
}

/// Draws the page of an answer that was told without one: ours, the router's and the layers'.
pub(super) async fn dress_errors(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let headers = request.headers().clone();
    let mut response = next.run(request).await;
    let status = response.status();
    let is_bare = (status.is_client_error() || status.is_server_error()) && !is_ours(&response);
    let told = match response.extensions_mut().remove::<Told>() {
        Some(told) => told,
        None if is_bare && path.starts_with("/v1/") => {
            return JsonError(Told::of_status(status)).into_response();
        }
        None if is_bare => Told::of_status(status),
        None => return response,
    };
    let page = ErrorPage {
        chrome: error_chrome(&web, status, &headers).await,
        ways: ways_on(&path, &told),
        told,
    };
    html(status, &page)
}

/// Whether an answer has its own words already. What the router and its extractors say is plain text, for developers.
fn is_ours(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| !kind.as_bytes().starts_with(b"text/plain"))
}

/// Who is signed in stays in their own frame, unless the fault is ours: then nothing more is asked of the store.
async fn error_chrome(web: &Web, status: StatusCode, headers: &HeaderMap) -> Chrome {
    let signed_in = match status.is_client_error() {
        true => session::find(web, headers).await.ok().flatten(),
        false => None,
    };
    match signed_in {
        Some(signed_in) => Chrome::inside(web, &signed_in, None, Place::Outside),
        None => Chrome::outside(web),
    }
}

fn ways_on(path: &str, told: &Told) -> Vec<Way> {
    let card = path
        .strip_prefix("/cards/")
        .filter(|_| told.is_about_own_card())
        .and_then(|rest| rest.split('/').next());
    match card {
        Some(reference) => vec![Way::to(Place::Manage, reference), Way::to(Place::Cards, "")],
        None if path == "/sign-in" => vec![Way::to(Place::Outside, "")],
        None => vec![Way::to(Place::Cards, "")],
    }
}
