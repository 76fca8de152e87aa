//! How many files this process may have open, and what of them the surfaces get for connections.

use std::fs;
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::failure::Failure;

/// Files that the desk opens while it runs beside those for connections: store, HSM, mail, and those of peers that are
/// turned away at this moment.
const OWN_FILES: usize = 128;

/// Most connections to the web at a time.
const WEB_MAX: usize = 2_048;
/// Most connections to one link at a time.
const LINK_MAX: usize = 8_192;
/// A surface with fewer can't do its work.
const SURFACE_MIN: usize = 16;

/// Connections that may be open at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connections {
    pub(crate) web: usize,
    pub(crate) each_link: usize,
}

/// Allows this process as many open files as the system lets it have, and shares out what is there.
///
/// `listening`: links that networks connect to. `outgoing`: connections that the links make themselves. Refuses a limit
/// that leaves a surface too little.
pub(crate) fn share_out(listening: usize, outgoing: usize) -> Result<Connections, Failure> {
    let files_max = raise()?;
    let needed = open_now().saturating_add(OWN_FILES).saturating_add(outgoing);
    connections(files_max, needed, listening).ok_or_else(|| {
        let wanted = needed + 4 * SURFACE_MIN * (listening + 1);
        Failure::Unavailable(format!(
            "{files_max} files may be open at a time, which leaves no room for connections: allow at least {wanted} \
             (ulimit -n, or LimitNOFILE of the service)"
        ))
    })
}

/// A quarter for the web, the rest in equal parts for the links, so that neither takes the other's.
fn connections(files_max: usize, needed: usize, listening: usize) -> Option<Connections> {
    let free = files_max.checked_sub(needed)?;
    let web = (free / 4).min(WEB_MAX);
    let each_link = ((free - web) / listening.max(1)).min(LINK_MAX);
    (web.min(each_link) >= SURFACE_MIN).then_some(Connections { web, each_link })
}

fn raise() -> io::Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let current = limit.maximum;
        setrlimit(Resource::Nofile, Rlimit { current, ..limit })?;
    }
    Ok(limit
        .maximum
        .map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX)))
}

/// What is open already, where the system tells.
fn open_now() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_connections_together_leave_what_else_is_needed() {
        for files_max in [256, 1_024, 4_096, 65_536, usize::MAX] {
            for listening in 0..4 {
                let Some(share) = connections(files_max, 150, listening) else {
                    assert_eq!((files_max, listening), (256, 3));
                    continue;
                };
                assert!(share.web + share.each_link * listening + 150 <= files_max);
                assert!(share.web <= WEB_MAX && share.each_link <= LINK_MAX);
            }
        }
        let share = connections(1_024, 148, 2);
        assert_eq!(
            share,
            Some(Connections {
                web: 219,
                each_link: 328
            })
        );
    }

    #[test]
    fn a_limit_that_leaves_a_surface_too_little_is_refused() {
        assert_eq!(connections(150, 150, 1), None);
        assert_eq!(connections(100, 150, 1), None);
        assert_eq!(connections(150 + 4 * SURFACE_MIN - 1, 150, 1), None);
        assert!(connections(150 + 4 * SURFACE_MIN, 150, 1).is_some());
    }
}
