//! Where a command works: the installation it is told of, opened for the time of the command.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use issuer::Desk;
use store::{SqliteStore, Store};

use crate::config::{self, Config};
use crate::failure::Failure;
use crate::hsm_link::HsmLink;

/// Which installation.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// Data directory, with its pinward.toml
    #[arg(long, global = true, value_name = "DIR", default_value = "pinward-data")]
    data: PathBuf,
    /// Configuration file, instead of the data directory's
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "data")]
    config: Option<PathBuf>,
}

/// An opened installation.
pub(crate) struct Opened {
    pub(crate) hsm: HsmLink,
    pub(crate) desk: Desk,
}

impl Place {
    /// Opens store and HSM. Connects to the HSM that serves, or starts one for the time of the command, with its log
    /// beside its socket.
    pub(crate) async fn open(&self) -> Result<Opened, Failure> {
        let config = self.read_config()?;
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config.store.path)?);
        let log = config.hsm.socket.with_extension("log");
        let hsm = HsmLink::connect_or_start(&config.hsm, Some(&log), store.clone()).await?;
        let desk = Desk {
            hsm: Arc::new(hsm.remote.clone()),
            store,
            programmes: config.programmes(),
            unpredictable_numbers: Arc::default(),
        };
        Ok(Opened { hsm, desk })
    }

    fn read_config(&self) -> Result<Config, Failure> {
        let in_data = || self.data.join(config::FILE_NAME);
        let path = self.config.clone().unwrap_or_else(in_data);
        Ok(Config::read(&path)?)
    }
}

/// The person at the command line, as audit records name them: by the user number that the system vouches for.
pub(crate) fn operator() -> String {
    format!("operator:{}", rustix::process::getuid().as_raw())
}
