//! `pinward report owed`: what the issuer's own hosts have not answered so far, by link, with the age of the oldest.

use std::io::{self, Write};

use cards::Timestamp;
use clap::Args;
use serde::Serialize;
use store::OwedCount;

use super::super::place::Place;
use crate::clock;
use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Serialize)]
struct Link {
    link: String,
    messages: u64,
    oldest_age_seconds: i64,
}

pub(super) async fn run(arguments: Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let opened = arguments.place.open().await?;
    let owed = opened.desk.store.owed_by_link().await;
    opened.hsm.close().await;
    let now = clock::now();
    let links: Vec<Link> = owed?.into_iter().map(|owed| Link::of(owed, now)).collect();
    if arguments.json {
        return super::json(&links, out);
    }
    Ok(tell(&links, out)?)
}

impl Link {
    fn of(owed: OwedCount, now: Timestamp) -> Self {
        Self {
            link: owed.link,
            messages: owed.messages,
            oldest_age_seconds: now.ms_since(owed.oldest) / 1_000,
        }
    }
}

fn tell(links: &[Link], out: &mut dyn Write) -> io::Result<()> {
    if links.is_empty() {
        return writeln!(out, "Nothing is owed to any issuer's host.");
    }
    writeln!(out, "{:<24} {:>8}  {:>14}", "link", "messages", "oldest (s)")?;
    for link in links {
        writeln!(
            out,
            "{:<24} {:>8}  {:>14}",
            link.link, link.messages, link.oldest_age_seconds
        )?;
    }
    Ok(())
}
