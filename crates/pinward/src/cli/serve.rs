//! `pinward serve`: the PIN desk with its surfaces, until it is told to stop.

use std::path::PathBuf;

use clap::Args;

use crate::config::Config;
use crate::failure::Failure;
use crate::serve::{self, DemoExtras, Listeners};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Configuration file; pinward.example.toml shows every setting
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = Config::read(&arguments.config)?;
    config.warn_of_unreliable_reports();
    let listeners = Listeners::bind(&config)?;
    serve::serve(&config, listeners, DemoExtras::default(), serve::told_to_stop()).await
}
