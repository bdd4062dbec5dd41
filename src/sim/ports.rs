//! Ports for real peers, which must be told one before they are started.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Mutex;

/// Below Linux's default for the ports of outgoing connections (32768 to 60999): there any connection of any program may
/// take a port between its choice and its use, and keep it for a minute after it is closed.
const RANGE: Range<u16> = 10_000..32_768;

const ATTEMPTS: usize = 1000;

/// What keeps the ports given out ours: the names of Unix sockets, which the kernel frees when this process ends.
static OURS: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());

/// A TCP port that nobody listens on and that no other process is given by this function while this one lives.
///
/// # Errors
/// When the system opens no socket, or every port that was tried is taken.
pub fn free_port() -> io::Result<u16> {
    for _ in 0..ATTEMPTS {
        let port = rand::random_range(RANGE);
        let name = SocketAddr::from_abstract_name(format!("strandwatch-port-{port}"))?;
        let claimed = UnixListener::bind_addr(&name)
            .and_then(|claim| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).map(|_| claim));
        match claimed {
            Ok(claim) => {
                OURS.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(claim);
                return Ok(port);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, format!("no free port in {RANGE:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_out_once_and_can_be_listened_on() {
        let mut given: Vec<u16> = (0..200).map(|_| free_port().unwrap()).collect();
        let listeners: Vec<_> =
            given.iter().map(|port| TcpListener::bind(("127.0.0.1", *port)).unwrap()).collect();
        assert_eq!(listeners.len(), 200);
        given.sort_unstable();
        given.dedup();
        assert_eq!(given.len(), 200, "each once");
        assert!(given.iter().all(|port| RANGE.contains(port)));
    }
}
