//! Logs: to standard error, as text or as one JSON object per line.
//!
//! What a log may hold is what `Debug` and `Display` of our types give: last four digits, never a full PAN, a PIN or a
//! PIN block. [`guard`] is the test that watches this.

use std::io;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Starts logging. `PINWARD_LOG` chooses what is logged (`info`, `pinward=debug,hsm=warn`); without it, or where it
/// can't be read, `default_level` does.
pub(crate) fn start(format: LogFormat, default_level: &str) {
    let filter = EnvFilter::try_from_env("PINWARD_LOG").unwrap_or_else(|_| EnvFilter::new(default_level));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => lines.with_target(false).init(),
        LogFormat::Json => lines.json().init(),
    }
}

#[cfg(test)]
pub(crate) mod guard {
    //! A tracing layer for test runs that panics on what must never be logged.

    use std::fmt;

    use tracing::field::{Field, Visit};
    use tracing::{Event, Subscriber, span};
    use tracing_subscriber::layer::{Context, Layer};

    /// Panics where a field of an event or span holds a run of 13 to 19 digits with a right Luhn check digit.
    pub(crate) struct NoPanLayer;

    impl<S: Subscriber> Layer<S> for NoPanLayer {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            event.record(&mut NoPan);
        }

        fn on_new_span(&self, attributes: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
            attributes.record(&mut NoPan);
        }

        fn on_record(&self, _: &span::Id, values: &span::Record<'_>, _: Context<'_, S>) {
            values.record(&mut NoPan);
        }
    }

    struct NoPan;

    impl Visit for NoPan {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            let text = format!("{value:?}");
            assert!(!holds_a_pan(&text), "the log field {field} holds a full PAN");
        }
    }

    /// Whether a run of decimal digits in `text` is 13 to 19 long and has a right Luhn check digit.
    pub(crate) fn holds_a_pan(text: &str) -> bool {
        text.split(|letter: char| !letter.is_ascii_digit())
            .any(|run| (13..=19).contains(&run.len()) && cards::Pan::parse(run).is_ok())
    }

    #[test]
    fn a_full_pan_in_a_log_line_is_caught_and_other_numbers_pass() {
        use tracing_subscriber::layer::SubscriberExt;

        let subscriber = tracing_subscriber::registry().with(NoPanLayer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(card = "…1111", at_ms = 1_795_000_000_000_i64, "harmless");
            let leak = std::panic::catch_unwind(|| tracing::info!("card 4111111111111111 declined"));
            assert!(leak.is_err());
        });
    }
}
