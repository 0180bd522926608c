use crate::{Accept, CloseInfo, Connection, Message, Refusal, Request, Timer};

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
    /// A connection is open: messages may be sent to it.
    fn opened(&mut self, connection: Connection) {
        let _ = connection;
    }

    /// The peer sent a message, at most 1 MiB by default.
    fn received(&mut self, connection: Connection, message: Message) {
        let _ = (connection, message);
    }

    /// The connection is gone. It has left its topics, its timers are cancelled, and its session data can be read for the last time.
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

    /// The peer sent a pong, asked for or not, with at most 125 bytes. Pongs to the host's keep-alive pings are not reported.
    fn pong(&mut self, connection: Connection, payload: Vec<u8>) {
        let _ = (connection, payload);
    }

    /// A timer fired. It is spent: set it again for a period. `connection` is the one whose [`Connection::set_timer`] set it.
    fn timer(&mut self, timer: Timer, tag: u64, connection: Option<Connection>) {
        let _ = (timer, tag, connection);
    }

    /// The instance was made: at start, and again after a trap. Nothing else is called before it. A panic here at start ends `wsrun`
    /// with an error.
    fn started(&mut self) {}
}
