//! Many versions of one handler. Which one it is, is written in the file: tests replace the bytes behind `version=`.
//!
//! Each text `N` is answered with `VERSION COUNT HOW N`: how many messages this connection has sent, whatever version counted them, and
//! how the instance came to know the connection (`opened`, `resumed` or `unknown`).

use std::collections::HashMap;
use std::hint::black_box;

use wsrun_guest::{CloseInfo, Connection, Handler, Message, handler};

/// `NAME`, or `NAME:WHAT-FAILS`, filled up with spaces.
static MARKER: [u8; 40] = *b"version=one                             ";

/// What must not reach a log or a terminal as it is.
const EVIL: &str = "evil \u{1b}[2J\u{9b}\u{202e}\u{2028}\u{85}\n2026-01-01T00:00:00Z ERROR forged";

#[derive(Default)]
struct Versions {
    counts: HashMap<Connection, u64>,
    /// Of this instance.
    known: HashMap<Connection, &'static str>,
}

fn version() -> (String, String) {
    // Not a constant: the file is changed after the compiler has seen it.
    let marker = black_box(&MARKER);
    let text = String::from_utf8_lossy(&marker["version=".len()..]);
    let (name, fails) = text
        .trim_end()
        .split_once(':')
        .unwrap_or((text.trim_end(), ""));
    (name.to_owned(), fails.to_owned())
}

fn fails_in(what: &str) {
    let (name, fails) = version();
    assert!(fails != what, "version {name} fails in {what}");
}

#[handler]
impl Handler for Versions {
    fn started(&mut self) {
        fails_in("started");
        if version().1 == "start-loop" {
            loop {
                black_box(());
            }
        }
    }

    fn resumed(&mut self, connection: Connection) {
        fails_in("resumed");
        let before = self.known.insert(connection, "resumed");
        assert_eq!(before, None, "a connection is told once");
        self.counts
            .entry(connection)
            .or_insert_with(|| connection.session().unwrap_or(0));
    }

    fn save(&mut self) -> Vec<u8> {
        fails_in("save");
        if version().1 == "save-much" {
            return vec![0; 17 << 20];
        }
        let counts = self.counts.iter();
        counts
            .flat_map(|(connection, count)| [connection.id().to_le_bytes(), count.to_le_bytes()])
            .flatten()
            .collect()
    }

    fn restore(&mut self, state: Vec<u8>) -> Result<(), String> {
        fails_in("restore");
        if version().1 == "restore-error" {
            return Err("this state is from another world".into());
        }
        if version().1 == "restore-evil" {
            return Err(EVIL.into());
        }
        for pair in state.chunks_exact(16) {
            let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
            self.counts
                .insert(Connection::from_id(number(&pair[..8])), number(&pair[8..]));
        }
        Ok(())
    }

    fn opened(&mut self, connection: Connection) {
        fails_in("opened");
        self.known.insert(connection, "opened");
        self.counts.insert(connection, 0);
    }

    fn received(&mut self, connection: Connection, message: Message) {
        fails_in("received");
        let text = message.as_text().unwrap_or_default();
        assert!(text != "trap", "asked to trap");
        if text == "print" {
            println!("\n  \r\n{EVIL}");
        }
        let count = self.counts.entry(connection).or_default();
        *count += 1;
        connection.set_session(count).expect("it is small");
        let how = self.known.get(&connection).copied().unwrap_or("unknown");
        let _ = connection.send(&format!("{} {count} {how} {text}", version().0));
    }

    fn closed(&mut self, connection: Connection, _: CloseInfo) {
        self.known.remove(&connection);
        self.counts.remove(&connection);
    }
}
