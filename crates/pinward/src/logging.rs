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

    use std::{fmt, process, sync::Once};

    use tracing::field::{Field, Visit};
    use tracing::{Event, Subscriber, span};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    /// Watches all that this test program logs from now on. A full PAN ends the program: a panic could pass unseen in a
    /// task that nobody waits for.
    pub(crate) fn install() {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            let layer = NoPanLayer { caught: end };
            let subscriber = tracing_subscriber::registry().with(layer);
            tracing::subscriber::set_global_default(subscriber).expect("tests log by this guard only");
        });
    }

    fn end(field: &str) {
        eprintln!("the log field {field} holds a full PAN");
        process::abort();
    }

    /// Calls `caught` with the name of a field, of an event or a span, that holds a full PAN.
    struct NoPanLayer {
        caught: fn(&str),
    }

    impl<S: Subscriber> Layer<S> for NoPanLayer {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            event.record(&mut NoPan(self.caught));
        }

        fn on_new_span(&self, attributes: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
            attributes.record(&mut NoPan(self.caught));
        }

        fn on_record(&self, _: &span::Id, values: &span::Record<'_>, _: Context<'_, S>) {
            values.record(&mut NoPan(self.caught));
        }
    }

    struct NoPan(fn(&str));

    impl Visit for NoPan {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            if holds_a_pan(&format!("{value:?}")) {
                (self.0)(field.name());
            }
        }
    }

    /// Whether a run of decimal digits in `text` can be the number of one of the tests' cards: 13 to 19 digits with a
    /// right Luhn check digit, of the ranges that tests take cards from. Moments in milliseconds aren't.
    pub(crate) fn holds_a_pan(text: &str) -> bool {
        text.split(|letter: char| !letter.is_ascii_alphanumeric())
            .filter(|run| run.starts_with('4') || run.starts_with("9999"))
            .any(|run| (13..=19).contains(&run.len()) && cards::Pan::parse(run).is_ok())
    }

    #[test]
    fn a_full_pan_in_a_log_line_is_caught_and_other_numbers_pass() {
        let caught = |field: &str| panic!("{field}");
        let subscriber = tracing_subscriber::registry().with(NoPanLayer { caught });
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(card = "…1111", at_ms = 1_795_000_000_000_i64, "harmless");
            for leak in [
                std::panic::catch_unwind(|| tracing::info!("card 4111111111111111 declined")),
                std::panic::catch_unwind(|| tracing::info!(pan = "9999010000000011", "declined")),
            ] {
                assert!(leak.is_err());
            }
        });
    }
}
