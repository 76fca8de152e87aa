//! `pinward hsm`: the software HSM, in this process.

use std::path::PathBuf;

use clap::Args;
use hsm::{ServeError, ServeOptions};

use crate::failure::Failure;

/// `sun_path` of Linux, without the zero that ends it.
const SOCKET_LEN_MAX_BYTES: usize = 107;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Directory of the key store; made on first start
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Unix socket to listen on
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// End when standard input closes, as it does when the parent process ends
    #[arg(long)]
    stop_when_stdin_closes: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let socket = std::path::absolute(&arguments.socket)?;
    if socket.as_os_str().len() > SOCKET_LEN_MAX_BYTES {
        return Err(Failure::Usage(format!(
            "--socket {}: longer than {SOCKET_LEN_MAX_BYTES} bytes, which is all that a Unix socket's address holds; choose a shorter path",
            socket.display()
        )));
    }
    let options = ServeOptions {
        directory: arguments.data.clone(),
        socket: arguments.socket.clone(),
        stop_when_stdin_closes: arguments.stop_when_stdin_closes,
    };
    hsm::serve(&options).map_err(|error| match error {
        ServeError::Open(_) | ServeError::Listen { .. } => Failure::Unavailable(error.to_string()),
        ServeError::Harden(_) => Failure::Fault(error.to_string()),
    })
}
