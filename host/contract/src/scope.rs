//! Which connections share an instance.

/// Which connections of a handler share an instance. In all of them the events of one connection come in order and one at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All of them: one worker has the instance, and gets the connections that others have accepted. The handler's globals are the same
    /// for everybody, and it has one thread.
    #[default]
    Shared,
    /// None: each has an instance of its own, on the worker that accepted it, made for its first event. Globals are those of one connection,
    /// which is the strongest isolation and costs the most memory. A handler that filters broadcasts cannot be in it. What belongs to no connection, as plain requests do, has one for each
    /// worker.
    Connection,
    /// Those of one worker: each worker has an instance with globals of its own, and connections stay where they were accepted.
    Worker,
}
