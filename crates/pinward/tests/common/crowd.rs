//! Many connections at once, and what the system must allow for that.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpSocket, TcpStream};

/// How long the desk may take for one plain answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Allows this process, and those that it starts, so many open files. Fails where the system doesn't: with fewer, a test
/// of crowds proves less than its name says.
pub(crate) fn allow_files(at_least: u64) {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    assert!(
        most >= at_least,
        "this test needs {at_least} open files and the system allows {most}: raise the hard limit (ulimit -Hn, \
         nofile in /etc/security/limits.conf, LimitNOFILE of the service, or --ulimit nofile of the container)"
    );
    let current = limit.maximum;
    setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
}

/// One of this machine's own addresses; each number up to 250 has another.
pub(crate) fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, u8::try_from(number % 250 + 1).unwrap())
}

/// Connects as a peer with this address.
pub(crate) async fn connect_from(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}

/// What the web answers to a GET on a connection of its own, header and all.
pub(crate) fn get(web: SocketAddr, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(web).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    // One that is turned away may be closed before it is written.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// The status of the health check, and what it says.
pub(crate) fn health(web: SocketAddr) -> (u16, serde_json::Value) {
    let answer = get(web, "/healthz");
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, serde_json::from_str(body).unwrap())
}
