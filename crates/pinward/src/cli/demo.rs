//! `pinward demo`: a demo issuer on this machine.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::demo::{self, Demo};
use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where the demo keeps everything; made on first start
    #[arg(long, value_name = "DIR", default_value = "pinward-data")]
    data: PathBuf,
    /// Delete the data and start over
    #[arg(long)]
    fresh: bool,
    /// Don't ask before deleting
    #[arg(long, requires = "fresh")]
    yes: bool,
    /// Address of the portal [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    web: Option<SocketAddr>,
    /// Address of the ISO 8583 host [default: 127.0.0.1:8583]
    #[arg(long, value_name = "ADDR")]
    host: Option<SocketAddr>,
    /// Address of the sandbox
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    sandbox: SocketAddr,
    /// Address of the mailbox's SMTP server [default: 127.0.0.1:2525]
    #[arg(long, value_name = "ADDR")]
    mail: Option<SocketAddr>,
}

pub(crate) async fn run(arguments: Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let demo = Demo {
        data: std::path::absolute(&arguments.data)?,
        web: arguments.web,
        host: arguments.host,
        sandbox: arguments.sandbox,
        mail: arguments.mail,
    };
    let ready = demo.take_ports().await?;
    if arguments.fresh && demo.data.exists() {
        demo::require_demo(&demo.data)?;
        if !arguments.yes {
            require_consent(&arguments.data)?;
        }
        std::fs::remove_dir_all(&demo.data)?;
    }
    demo.run(ready, out).await
}

/// Asks on the terminal.
fn require_consent(data: &Path) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "--fresh asks on a terminal; without one, add --yes".to_owned(),
        ));
    }
    write!(
        io::stderr(),
        "Delete {} with all its keys, cards and mails? [y/N] ",
        data.display()
    )?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if answer.trim().eq_ignore_ascii_case("y") {
        return Ok(());
    }
    Err(Failure::Refused("nothing was deleted".to_owned()))
}
