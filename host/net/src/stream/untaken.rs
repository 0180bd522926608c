//! How much of what was written the peer has not taken yet: `SIOCOUTQ`, of tcp(7) and, the same request, of Unix sockets.
//!
//! A socket is writable again only when a good part of its send buffer has drained, which takes a peer that reads slowly a minute. This
//! tells it from one that does not read.

#![expect(
    unsafe_code,
    reason = "no safe crate has this request; one system call"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;

/// Bytes in the kernel's hands: not yet acknowledged over TCP, not yet read over a Unix socket.
///
/// # Errors
///
/// When the descriptor is none of a connection.
pub(super) fn untaken_bytes(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the kernel writes one int to `bytes`, which is alive and as large, and keeps no pointer to it.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    match result {
        0 => Ok(usize::try_from(bytes).unwrap_or(0)),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

    use super::*;

    fn shrinks_as_the_peer_reads(mut writer: impl Write + AsFd, mut reader: impl Read) {
        let mut written = 0;
        while let Ok(length) = writer.write(&[0; 65_536]) {
            written += length;
        }
        let full = untaken_bytes(writer.as_fd()).unwrap();
        assert!(full > 0, "of {written} bytes");
        let mut read = 0;
        let began = Instant::now();
        while untaken_bytes(writer.as_fd()).unwrap() >= full {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "{read} were read"
            );
            if read < written / 2 {
                read += reader.read(&mut [0; 65_536]).unwrap();
            }
        }
    }

    #[test]
    fn what_a_peer_has_not_taken_shrinks_as_it_reads() {
        let (writer, reader) = UnixStream::pair().unwrap();
        writer.set_nonblocking(true).unwrap();
        shrinks_as_the_peer_reads(writer, reader);

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let writer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (reader, _) = listener.accept().unwrap();
        writer.set_nonblocking(true).unwrap();
        shrinks_as_the_peer_reads(writer, reader);
    }

    #[test]
    fn what_is_no_connection_has_no_such_number() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert!(untaken_bytes(file.as_fd()).is_err());
    }
}
