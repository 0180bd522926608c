use std::time::Duration;

use crate::{
    Accept, Chunk, CloseInfo, Connection, HttpRequest, HttpResponse, Message, Refusal, Request,
    Timer,
};

/// What an application does with its connections. Put [`#[handler]`](macro@crate::handler) on the implementation.
///
/// Every method has a default that does nothing. The methods from [`handshake`](Self::handshake) on are optional exports: the component
/// has them only if the `impl` block does.
///
/// The events of one connection come in order and one at a time: `handshake`, `opened`, any number of `received`, `closed` exactly once,
/// whatever happened. Calls into the host never call back, and nothing runs beside a method: `&mut self` is all the locking there is.
///
/// `self` lives as long as the instance: from its first callback, when [`Default`] makes it, until a trap or the end of the host. A host
/// with several workers runs one instance on each. What belongs to a connection and must outlive a trap is better kept as
/// [session data](Connection::set_session).
///
/// A method that panics or overruns its deadline has no effect: nothing that it sent, published, closed or set is applied, the
/// connection that it was called for is closed with 1011, and a new instance takes over the others.
pub trait Handler: Default + 'static {
    /// A connection is open: messages may be sent to it. [`Request::role`] tells who connected to whom.
    fn opened(&mut self, connection: Connection) {
        let _ = connection;
    }

    /// The peer sent a message, at most 1 MiB by default. Not called when the handler has [`received_chunk`](Self::received_chunk).
    fn received(&mut self, connection: Connection, message: Message) {
        let _ = (connection, message);
    }

    /// The connection is gone, or one that [`client::Options`](crate::client::Options) asked for could not be made. It has left its topics,
    /// its timers are cancelled, and its session data can be read for the last time.
    fn closed(&mut self, connection: Connection, info: CloseInfo) {
        let _ = (connection, info);
    }

    /// Accepts or refuses an opening handshake. Called before the connection has an id.
    ///
    /// Without this method every handshake that the host's own rules allow is accepted.
    ///
    /// # Errors
    ///
    /// The refusal is what the peer is answered.
    fn handshake(&mut self, request: Request) -> Result<Accept, Refusal> {
        let _ = request;
        Ok(Accept::new())
    }

    /// The queue of the connection has drained below a quarter of its limit. Called once for each [`Connection::want_writable`].
    fn writable(&mut self, connection: Connection) {
        let _ = connection;
    }

    /// The peer sent a part of a message, at most 4 GiB in all by default. Takes the place of [`received`](Self::received), so that
    /// messages may be larger than memory.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use wsrun_guest::{Chunk, Connection, Handler, handler};
    ///
    /// /// Answers each message with its length.
    /// #[derive(Default)]
    /// struct Length {
    ///     bytes: HashMap<Connection, u64>,
    /// }
    ///
    /// #[handler]
    /// impl Handler for Length {
    ///     fn received_chunk(&mut self, connection: Connection, chunk: Chunk) {
    ///         let bytes = self.bytes.entry(connection).or_default();
    ///         *bytes += chunk.data.len() as u64;
    ///         if chunk.last {
    ///             let _ = connection.send(&bytes.to_string());
    ///             self.bytes.remove(&connection);
    ///         }
    ///     }
    /// }
    /// ```
    fn received_chunk(&mut self, connection: Connection, chunk: Chunk) {
        let _ = (connection, chunk);
    }

    /// Whether a broadcast goes to this connection; `false` leaves it out. What the method itself sends goes behind the broadcast.
    ///
    /// A broadcast in it panics, and a panic leaves the connection out and closes it with 1011.
    fn wanted(&mut self, connection: Connection, message: Message) -> bool {
        let _ = (connection, message);
        true
    }

    /// Whether a peer may go on, before anything is read of it; `false` ends the transport without a word. Only the default handler of a
    /// server is asked.
    ///
    /// `peer` is `ip:port`, or `unix`; `local` the address that it connected to, or the path of the Unix socket.
    fn accepts(&mut self, peer: &str, local: &str) -> bool {
        let _ = (peer, local);
        true
    }

    /// Answers a plain HTTP request. Only the default handler of a server is asked, for what `--static` does not answer. A panic is 500.
    ///
    /// ```
    /// use wsrun_guest::{Handler, HttpRequest, HttpResponse, handler, host};
    ///
    /// #[derive(Default)]
    /// struct Site;
    ///
    /// #[handler]
    /// impl Handler for Site {
    ///     fn http(&mut self, request: HttpRequest) -> HttpResponse {
    ///         match request.path() {
    ///             "/count" => HttpResponse::text(host::connection_count().to_string()),
    ///             _ => HttpResponse::new(404),
    ///         }
    ///     }
    /// }
    /// ```
    fn http(&mut self, request: HttpRequest) -> HttpResponse {
        let _ = request;
        HttpResponse::new(404)
    }

    /// An outbound connection with [`client::Reconnect`](crate::client::Reconnect) ended, or could not be made, and the host tries again
    /// after `after`. `attempt` counts from 1 since the connection was last open.
    ///
    /// Messages sent meanwhile are refused, topics and session data stay. [`closed`](Self::closed) follows only when the host gives up, or
    /// the handler closes the connection.
    fn lost(&mut self, connection: Connection, info: CloseInfo, attempt: u32, after: Duration) {
        let _ = (connection, info, attempt, after);
    }

    /// An outbound connection that was [`lost`](Self::lost) is open again, under the same id. One that never was open before is told by
    /// [`opened`](Self::opened) instead.
    fn restored(&mut self, connection: Connection) {
        let _ = connection;
    }

    /// The peer sent a pong, asked for or not, with at most 125 bytes. Pongs to the host's keep-alive pings are not reported.
    fn pong(&mut self, connection: Connection, payload: Vec<u8>) {
        let _ = (connection, payload);
    }

    /// A timer fired. It is spent: set it again for a period. `connection` is the one whose [`Connection::set_timer`] set it.
    fn timer(&mut self, timer: Timer, tag: u64, connection: Option<Connection>) {
        let _ = (timer, tag, connection);
    }

    /// The instance was made: at start, after a trap, for a new version, after sleep. Nothing else is called before it. A panic here at
    /// start ends `wsrun` with an error; in a new version it keeps the old one.
    fn started(&mut self) {}

    /// A connection that was opened with an earlier instance is this one's. Called once for each, before its first event here; of many
    /// connections those that are silent come later than the events of others.
    fn resumed(&mut self, connection: Connection) {
        let _ = connection;
    }

    /// The state that the next version is to have, at most 16 MiB by default; called when the handler is about to be replaced. Empty, as by
    /// default: there is none, and [`restore`](Self::restore) is not called.
    ///
    /// ```
    /// use wsrun_guest::{Connection, Handler, Message, handler};
    ///
    /// /// Counts messages, whatever version does it.
    /// #[derive(Default)]
    /// struct Count {
    ///     messages: u64,
    /// }
    ///
    /// #[handler]
    /// impl Handler for Count {
    ///     fn received(&mut self, connection: Connection, _: Message) {
    ///         self.messages += 1;
    ///         let _ = connection.send(&self.messages.to_string());
    ///     }
    ///
    ///     fn save(&mut self) -> Vec<u8> {
    ///         self.messages.to_le_bytes().to_vec()
    ///     }
    ///
    ///     fn restore(&mut self, state: Vec<u8>) -> Result<(), String> {
    ///         let bytes = state.try_into().map_err(|_| "not a count".to_owned())?;
    ///         self.messages = u64::from_le_bytes(bytes);
    ///         Ok(())
    ///     }
    /// }
    /// ```
    fn save(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes the state that the version before has [saved](Self::save); follows [`started`](Self::started).
    ///
    /// # Errors
    ///
    /// Keeps the old version; the operator reads the text. A panic does so too.
    fn restore(&mut self, state: Vec<u8>) -> Result<(), String> {
        let _ = state;
        Ok(())
    }

    /// The host is going to close every connection and to end. Closing begins now; what is still open after `deadline` is cut.
    fn draining(&mut self, deadline: Duration) {
        let _ = deadline;
    }
}
