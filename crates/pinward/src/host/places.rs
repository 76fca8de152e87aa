//! The places of a link: so many connections at a time, and so many of them for one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::CloseReason;

/// Default of `connections_per_address`, and never more than a quarter of the link's places.
const ADDRESS_MAX: usize = 256;

/// Who is connected.
pub(super) struct Places {
    link_max: usize,
    address_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One place, given back on drop.
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    /// `address_max`: as configured, if it is.
    pub(super) fn new(link_max: usize, address_max: Option<usize>) -> Self {
        Self {
            link_max,
            address_max: address_max.unwrap_or(ADDRESS_MAX.min(link_max / 4)),
            taken: Mutex::default(),
        }
    }

    /// A place for a peer, or why it gets none.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> Result<Place, CloseReason> {
        let address = one_peer(peer);
        let mut taken = self.taken();
        if taken.all >= self.link_max {
            return Err(CloseReason::TooManyConnections);
        }
        let of_address = taken.by_address.entry(address).or_default();
        if *of_address >= self.address_max {
            return Err(CloseReason::TooManyOfAddress);
        }
        *of_address += 1;
        taken.all += 1;
        Ok(Place {
            places: self.clone(),
            address,
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Only counted up and down: a panic elsewhere leaves it whole.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        if let Some(of_address) = taken.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// Who has one IPv6 address has all that begin with the same 64 bits.
fn one_peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn refused(places: &Arc<Places>, peer: &str) -> Option<CloseReason> {
        places.take(address(peer)).err()
    }

    #[test]
    fn one_address_gets_its_share_and_leaves_the_rest_to_others() {
        let places = Arc::new(Places::new(16, None));
        let greedy: Vec<Place> = (0..4)
            .map_while(|_| places.take(address("192.0.2.1")).ok())
            .collect();
        assert_eq!(greedy.len(), 4);
        assert_eq!(refused(&places, "192.0.2.1"), Some(CloseReason::TooManyOfAddress));
        assert_eq!(refused(&places, "192.0.2.2"), None);
        drop(greedy);
        assert_eq!(refused(&places, "192.0.2.1"), None);
        assert!(
            places.taken().by_address.is_empty(),
            "nothing stays of peers that went"
        );
    }

    #[test]
    fn a_full_link_refuses_everybody() {
        let places = Arc::new(Places::new(2, Some(2)));
        let _both: Vec<Place> = (0..2)
            .map_while(|_| places.take(address("192.0.2.1")).ok())
            .collect();
        assert_eq!(
            refused(&places, "192.0.2.2"),
            Some(CloseReason::TooManyConnections)
        );
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_share_and_mapped_ipv4_addresses_do_not() {
        let places = Arc::new(Places::new(16, Some(1)));
        let _held = [
            places.take(address("2001:db8::1")).ok().unwrap(),
            places.take(address("::ffff:192.0.2.1")).ok().unwrap(),
        ];
        let too_many = Some(CloseReason::TooManyOfAddress);
        assert_eq!(refused(&places, "2001:db8::ffff:2"), too_many);
        assert_eq!(refused(&places, "192.0.2.1"), too_many);
        assert_eq!(refused(&places, "2001:db8:0:1::1"), None);
        assert_eq!(refused(&places, "::ffff:192.0.2.2"), None);
    }
}
