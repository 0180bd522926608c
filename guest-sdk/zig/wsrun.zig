//! Writes handlers for the WebSocket runtime wsrun in Zig.
//!
//! A handler is a file with those of the functions below that it needs, and one line that exports them:
//!
//!     const wsrun = @import("wsrun");
//!
//!     comptime {
//!         wsrun.handler(@This());
//!     }
//!
//!     pub fn received(connection: wsrun.Connection, message: wsrun.Message) !void {
//!         try connection.send(message);
//!     }
//!
//!     pub const panic = wsrun.panic; // says in the log what was wrong
//!
//! What it may have, each returning what is shown, or that or an error:
//!
//!     opened(Connection) void                      A connection is open: messages may be sent to it.
//!     received(Connection, Message) void           The peer sent a message, at most 1 MiB by default.
//!     closed(Connection, CloseInfo) void           The connection is gone, or one that `connect` made could not be opened.
//!     handshake(Request) Handshake                 Accepts or refuses an opening handshake.
//!     writable(Connection) void                    The queue has drained: once for each `wantWritable`.
//!     chunk(Connection, Chunk) void                A part of a message arrived: takes the place of `received`.
//!     wanted(Connection, Message) bool             A broadcast is about to go to a connection: false leaves it out.
//!     accepts(peer, local: []const u8) bool        A peer connected, before anything is read: false ends the transport.
//!     http(HttpRequest) HttpResponse               A plain HTTP request.
//!     lost(Connection, CloseInfo, attempt: u32, after_ms: u32) void   An outbound connection ended and the host tries again.
//!     restored(Connection) void                    It is open again.
//!     pong(Connection, payload: []const u8) void   The peer sent a pong, with at most 125 bytes.
//!     timer(Timer, tag: u64, ?Connection) void     A timer fired; it is spent.
//!     started() void                               The instance was made: nothing is called before it.
//!     resumed(Connection) void                     A connection of an earlier instance is this one's.
//!     save() []const u8                            The state that the next version is to have.
//!     restore(state: []const u8) void              Takes it; an error keeps the old version, and its name is what the operator reads.
//!     draining(deadline_ms: u32) void              The host is going to end.
//!
//! What holds everywhere:
//!
//! - Events of one connection come in order and one at a time; nothing runs beside a function of yours.
//! - Nothing that you call blocks or calls back. Effects happen in order when your function returns, and none of them if it returns an
//!   error, panics or overruns its deadline: then the one connection closes with 1011, and a new instance with fresh memory takes over.
//! - Slices that you are given, as a parameter or by a function here, live until your function returns. Copy what you keep, with
//!   `std.heap.wasm_allocator` for instance. `scratch` allocates memory that lives as long as those.

const std = @import("std");
const raw = @import("raw.zig");

/// One WebSocket of this handler: a number that may be kept, compared and sent.
pub const Connection = enum(u64) {
    _,

    /// Sends a message. Success means queued.
    pub fn send(to: Connection, message: Message) SendError!void {
        var outcome: raw.OutcomeNoneSendError = undefined;
        const data = message.bytes();
        raw.connections.send(@backingInt(to), message.rawTag(), place(data), data.len, &outcome);
        return checkSent(outcome);
    }

    pub fn sendText(to: Connection, text: []const u8) SendError!void {
        return to.send(.{ .text = text });
    }

    pub fn sendBinary(to: Connection, data: []const u8) SendError!void {
        return to.send(.{ .binary = data });
    }

    /// Sends a message in parts: the first call begins it, `last` ends it.
    pub fn sendChunk(to: Connection, kind: Kind, data: []const u8, last: bool) ChunkError!void {
        var outcome: raw.OutcomeNoneConnectionsChunkError = undefined;
        raw.connections.send_chunk(@backingInt(to), @intFromBool(kind == .text), place(data), data.len, @intFromBool(last), &outcome);
        if (!outcome.failed) return;
        const err = outcome.value.err;
        switch (err.tag) {
            .closed => return error.Closed,
            .queue_full => return failed(error.QueueFull, err.value.queue_full),
            .too_large => return failed(error.TooLarge, err.value.too_large),
            .invalid_text => return error.InvalidText,
            .wrong_kind => return error.WrongKind,
        }
    }

    /// Sends a ping with at most 125 bytes.
    pub fn ping(to: Connection, payload: []const u8) SendError!void {
        var outcome: raw.OutcomeNoneSendError = undefined;
        raw.connections.ping(@backingInt(to), place(payload), payload.len, &outcome);
        return checkSent(outcome);
    }

    /// Sends a pong that answers no ping, with at most 125 bytes.
    pub fn pong(to: Connection, payload: []const u8) SendError!void {
        var outcome: raw.OutcomeNoneSendError = undefined;
        raw.connections.pong(@backingInt(to), place(payload), payload.len, &outcome);
        return checkSent(outcome);
    }

    /// Starts the closing handshake after everything that is queued. Traps on a code that may not be sent. The reason is cut to 123 bytes.
    pub fn close(connection: Connection, code: u16, reason: []const u8) void {
        raw.connections.close(@backingInt(connection), code, place(reason), reason.len);
    }

    /// Ends the transport at once; what is queued is lost.
    pub fn abort(connection: Connection) void {
        raw.connections.abort(@backingInt(connection));
    }

    /// Bytes queued and not yet taken by the socket.
    pub fn buffered(connection: Connection) u64 {
        return raw.connections.buffered(@backingInt(connection));
    }

    /// Asks for one `writable` when the queue is below a quarter of its limit.
    pub fn wantWritable(connection: Connection) void {
        raw.connections.want_writable(@backingInt(connection));
    }

    /// Stops (false) or resumes (true) reading from the peer.
    pub fn receiveFlow(connection: Connection, enabled: bool) void {
        raw.connections.receive_flow(@backingInt(connection), @intFromBool(enabled));
    }

    /// What becomes of published messages that this connection has no room for, in place of the policy of their topic; null takes it back.
    pub fn setSlowPolicy(connection: Connection, policy: ?SlowPolicy) void {
        const tag, const code = rawPolicy(policy);
        raw.connections.set_slow_policy(@backingInt(connection), @intFromBool(policy != null), tag, code);
    }

    /// Published messages that a policy has left out for this connection so far.
    pub fn dropped(connection: Connection) u64 {
        return raw.connections.dropped(@backingInt(connection));
    }

    /// The opening request; null when the connection is unknown.
    pub fn request(connection: Connection) ?Request {
        var answer: raw.OptionalRequest = undefined;
        raw.connections.request_of(@backingInt(connection), &answer);
        return if (answer.some) Request.from(answer.value) else null;
    }

    /// The subprotocol agreed on.
    pub fn protocol(connection: Connection) ?[]const u8 {
        var answer: raw.OptionalString = undefined;
        raw.connections.protocol(@backingInt(connection), &answer);
        return optional(answer);
    }

    /// Bytes that the host keeps for the connection, also when the handler traps; empty at first.
    pub fn session(connection: Connection) []const u8 {
        var answer: raw.Bytes = undefined;
        raw.connections.session(@backingInt(connection), &answer);
        return slice(answer);
    }

    /// Replaces them, at most 64 KiB by default.
    pub fn setSession(connection: Connection, data: []const u8) SendError!void {
        var outcome: raw.OutcomeNoneSendError = undefined;
        raw.connections.set_session(@backingInt(connection), place(data), data.len, &outcome);
        return checkSent(outcome);
    }

    /// Subscribes to a topic, a name of 1 to 256 bytes; false when it was subscribed already.
    pub fn subscribe(connection: Connection, topic: []const u8) SubscribeError!bool {
        var outcome: raw.OutcomeBoolTopicsSubscribeError = undefined;
        raw.topics.subscribe(@backingInt(connection), place(topic), topic.len, &outcome);
        if (!outcome.failed) return outcome.value.ok;
        return switch (outcome.value.err.tag) {
            .closed => error.Closed,
            .invalid_name => error.InvalidName,
            .limit => error.Limit,
        };
    }

    /// Ends a subscription; false when there was none.
    pub fn unsubscribe(connection: Connection, topic: []const u8) bool {
        return raw.topics.unsubscribe(@backingInt(connection), place(topic), topic.len) != 0;
    }

    /// Calls `timer` with `tag` and this connection once, no earlier than `after_ms` milliseconds from now.
    pub fn setTimer(connection: Connection, after_ms: u32, tag: u64) TimerError!Timer {
        return Timer.setFor(after_ms, tag, connection);
    }

    /// Why the last opening handshake of an outbound connection failed; null when it succeeded or is under way.
    pub fn failure(connection: Connection) ?Failure {
        var answer: raw.OptionalClientFailure = undefined;
        raw.client.failure_of(@backingInt(connection), &answer);
        return if (answer.some) Failure.from(answer.value) else null;
    }

    /// How the server answered the last opening handshake of an outbound connection; null when it did not.
    pub fn response(connection: Connection) ?Response {
        var answer: raw.OptionalClientResponse = undefined;
        raw.client.response_of(@backingInt(connection), &answer);
        if (!answer.some) return null;
        return .{ .status = answer.value.status, .headers = headersOf(answer.value.headers) };
    }

    pub fn fromId(number: u64) Connection {
        return @fromBackingInt(@intCast(number));
    }

    pub fn id(connection: Connection) u64 {
        return @backingInt(connection);
    }
};

pub const Kind = enum { text, binary };

/// A whole message (RFC 6455, 5.6).
pub const Message = union(Kind) {
    /// UTF-8.
    text: []const u8,
    binary: []const u8,

    pub fn bytes(message: Message) []const u8 {
        return switch (message) {
            inline else => |data| data,
        };
    }

    fn rawTag(message: Message) u32 {
        return @backingInt(@as(raw.Message.Tag, switch (message) {
            .text => .text,
            .binary => .binary,
        }));
    }

    fn from(tag: u32, data: [*]const u8, len: usize) Message {
        return switch (@as(raw.Message.Tag, @fromBackingInt(@intCast(tag)))) {
            .text => .{ .text = data[0..len] },
            .binary => .{ .binary = data[0..len] },
        };
    }
};

/// A part of a message.
pub const Chunk = struct {
    kind: Kind,
    /// At most 256 KiB. A part of a text may end inside a character.
    data: []const u8,
    first: bool,
    last: bool,
    /// Bytes still to come in the current frame, before decompression.
    remaining: u64,
};

/// Close codes (RFC 6455, 7.4). 3000 to 4999 are the application's.
pub const close_code = struct {
    pub const normal = 1000;
    pub const going_away = 1001;
    pub const protocol_error = 1002;
    pub const unsupported_data = 1003;
    pub const no_status = 1005;
    pub const abnormal = 1006;
    pub const invalid_payload = 1007;
    pub const policy_violation = 1008;
    pub const message_too_big = 1009;
    pub const mandatory_extension = 1010;
    pub const internal_error = 1011;
    pub const service_restart = 1012;
    pub const try_again_later = 1013;
    pub const bad_gateway = 1014;
};

/// How a connection ended.
pub const CloseInfo = struct {
    /// 1005 when the close frame carried none, 1006 when the transport ended without a close frame.
    code: u16,
    reason: []const u8,
    by: ClosedBy,
    /// Close frames went both ways.
    clean: bool,

    fn from(code: u32, reason: [*]const u8, len: usize, by: u32, clean: u32) CloseInfo {
        return .{
            .code = @intCast(code),
            .reason = reason[0..len],
            .by = switch (@as(raw.ClosedBy, @fromBackingInt(@intCast(by)))) {
                .peer => .peer,
                .handler => .handler,
                .host => .host,
            },
            .clean = clean != 0,
        };
    }
};

pub const ClosedBy = enum { peer, handler, host };

pub const Role = enum { server, client };

/// A header field. Names that you are given are in lower case; values may be any bytes.
pub const Header = extern struct {
    name_ptr: [*]const u8,
    name_len: usize,
    value_ptr: [*]const u8,
    value_len: usize,

    pub fn init(field: []const u8, content: []const u8) Header {
        return .{ .name_ptr = place(field), .name_len = field.len, .value_ptr = place(content), .value_len = content.len };
    }

    pub fn name(header: Header) []const u8 {
        return header.name_ptr[0..header.name_len];
    }

    pub fn value(header: Header) []const u8 {
        return header.value_ptr[0..header.value_len];
    }

    // It is laid out as the host has it, so that lists of them need no copy.
    comptime {
        std.debug.assert(@sizeOf(Header) == @sizeOf(raw.TupleStringBytes));
        std.debug.assert(@sizeOf(Header) == @sizeOf(raw.TupleStringString));
    }
};

/// The opening request of a connection, or a plain HTTP request.
pub const Request = struct {
    /// Which side this host was.
    role: Role,
    /// Percent-encoded as received, beginning with `/`.
    path: []const u8,
    /// What follows the first `?`.
    query: ?[]const u8,
    headers: []const Header,
    /// Subprotocols offered, in the peer's order.
    offered: []const []const u8,
    /// `ip:port`, or `unix`.
    peer: []const u8,
    local: []const u8,
    /// Over TLS.
    secure: bool,
    /// The Host header.
    host: ?[]const u8,

    fn from(request: raw.Request) Request {
        const offered = scratch.alloc([]const u8, request.offered.len) catch @panic("out of memory");
        for (offered, request.offered.ptr[0..request.offered.len]) |*name, text| name.* = slice(text);
        return .{
            .role = switch (request.role) {
                .server => .server,
                .client => .client,
            },
            .path = slice(request.path),
            .query = optional(request.query),
            .headers = headersOf(request.headers),
            .offered = offered,
            .peer = slice(request.peer),
            .local = slice(request.local),
            .secure = request.secure,
            .host = optional(request.host),
        };
    }

    /// The value of the first header field of this name, in lower case.
    pub fn header(request: Request, name: []const u8) ?[]const u8 {
        for (request.headers) |field| {
            if (std.mem.eql(u8, field.name(), name)) return field.value();
        }
        return null;
    }

    /// The decoded value of the first parameter of the query with this name.
    pub fn queryValue(request: Request, name: []const u8) ?[]const u8 {
        var parameters = std.mem.splitScalar(u8, request.query orelse return null, '&');
        while (parameters.next()) |parameter| {
            const middle = std.mem.indexOfScalar(u8, parameter, '=') orelse parameter.len;
            if (std.mem.eql(u8, decoded(parameter[0..middle]), name)) {
                return decoded(parameter[@min(middle + 1, parameter.len)..]);
            }
        }
        return null;
    }
};

/// How an opening handshake is answered.
pub const Handshake = union(enum) {
    accept: Acceptance,
    refuse: Refusal,
};

/// What an accepted handshake starts with.
pub const Acceptance = struct {
    /// The subprotocol to agree on, one that was offered; null for the host's choice.
    protocol: ?[]const u8 = null,
    /// Header fields added to the response.
    headers: []const Header = &.{},
    /// Session data of the new connection.
    session: []const u8 = "",
};

/// How a refused handshake is answered.
pub const Refusal = struct {
    /// 300 to 599.
    status: u16 = 403,
    headers: []const Header = &.{},
    body: []const u8 = "",
};

pub const HttpRequest = struct {
    method: []const u8,
    request: Request,
    body: []const u8,
};

pub const HttpResponse = struct {
    /// 200 to 599.
    status: u16 = 200,
    headers: []const Header = &.{},
    body: Body = .{ .bytes = "" },

    pub const Body = union(enum) {
        bytes: []const u8,
        /// A file of the folder that the operator grants (--files DIR), by its path in it.
        file: []const u8,
    };

    /// A response with a body of this type.
    pub fn of(content_type: []const u8, body: []const u8) HttpResponse {
        const headers = scratch.alloc(Header, 1) catch @panic("out of memory");
        headers[0] = .init("content-type", content_type);
        return .{ .headers = headers, .body = .{ .bytes = body } };
    }

    pub fn text(body: []const u8) HttpResponse {
        return of("text/plain; charset=utf-8", body);
    }

    pub fn html(body: []const u8) HttpResponse {
        return of("text/html; charset=utf-8", body);
    }

    pub fn json(body: []const u8) HttpResponse {
        return of("application/json", body);
    }

    pub fn file(path: []const u8) HttpResponse {
        return .{ .body = .{ .file = path } };
    }

    /// The same with another status.
    pub fn withStatus(response: HttpResponse, status: u16) HttpResponse {
        var changed = response;
        changed.status = status;
        return changed;
    }
};

/// What becomes of a published message that a subscriber has no room for.
pub const SlowPolicy = union(enum) {
    /// Nobody gets it: `error.Waiting`.
    wait,
    drop_oldest,
    drop_newest,
    latest_only,
    /// The connection is closed with this code.
    disconnect: u16,
};

/// Errors with a number have it in `errorNumber`, with a text in `errorText`.
pub const SendError = error{
    /// The connection is closing, closed or not this handler's.
    Closed,
    /// The queue would exceed its limit: so many bytes are queued. Ask for `wantWritable`.
    QueueFull,
    /// Larger than the limit of so many bytes.
    TooLarge,
};

pub const ChunkError = SendError || error{
    /// The parts so far are not the beginning of valid UTF-8, or the last part ends inside a character.
    InvalidText,
    /// The message was begun as the other kind.
    WrongKind,
};

pub const AutoReplyError = error{ TooLarge, Limit };

pub const SubscribeError = error{ Closed, InvalidName, Limit };

pub const PublishError = error{
    /// So many subscribers whose policy is to wait have no room. Nobody got the message.
    Waiting,
    TooLarge,
};

pub const TimerError = error{
    Closed,
    Limit,
    /// The handler has no function `timer`.
    NotExported,
};

pub const ConnectError = error{
    /// The operator does not allow it: the text says what would.
    Denied,
    /// An option cannot be used: the text says which and why.
    Invalid,
    UnsupportedVersion,
    Limit,
};

/// The number that belongs to the last error.
pub fn errorNumber() u64 {
    return error_number;
}

/// The text that belongs to the last error, until the callback returns.
pub fn errorText() []const u8 {
    return error_text;
}

/// Named sets of connections: publishing is one call, however many they are.
pub const topics = struct {
    pub const PublishOptions = struct {
        /// Leaves this subscriber out.
        except: ?Connection = null,
    };

    /// Sends a message to every subscriber; the number of them on this worker.
    pub fn publish(topic: []const u8, message: Message, options: PublishOptions) PublishError!u32 {
        var outcome: raw.OutcomeU32PublishError = undefined;
        const data = message.bytes();
        const except = options.except orelse Connection.fromId(0);
        raw.topics.publish(place(topic), topic.len, message.rawTag(), place(data), data.len, @intFromBool(options.except != null), except.id(), &outcome);
        return checkPublished(outcome);
    }

    pub const BroadcastOptions = struct {
        /// Only those that agreed on this subprotocol.
        protocol: ?[]const u8 = null,
    };

    /// Sends a message to every open connection of the handler.
    pub fn broadcast(message: Message, options: BroadcastOptions) PublishError!u32 {
        var outcome: raw.OutcomeU32PublishError = undefined;
        const data = message.bytes();
        const name = options.protocol orelse "";
        raw.topics.broadcast(@intFromBool(options.protocol != null), place(name), name.len, message.rawTag(), place(data), data.len, &outcome);
        return checkPublished(outcome);
    }

    pub fn setSlowPolicy(topic: []const u8, policy: ?SlowPolicy) void {
        const tag, const code = rawPolicy(policy);
        raw.topics.set_slow_policy(place(topic), topic.len, @intFromBool(policy != null), tag, code);
    }

    /// Messages of this topic that policies have left out so far.
    pub fn dropped(topic: []const u8) u64 {
        return raw.topics.dropped(place(topic), topic.len);
    }
};

/// Asks for one `writable` of every connection, or of those that agreed on a subprotocol.
pub fn wantWritableAll(protocol: ?[]const u8) void {
    const name = protocol orelse "";
    raw.connections.want_writable_all(@intFromBool(protocol != null), place(name), name.len);
}

/// Has the host answer a message with that reply, on every connection, without calling the handler. null takes it back.
pub fn setAutoReply(received_message: Message, reply: ?Message) AutoReplyError!void {
    var outcome: raw.OutcomeNoneConnectionsAutoReplyError = undefined;
    const question = received_message.bytes();
    const with = reply orelse Message{ .text = "" };
    const answer = with.bytes();
    raw.connections.set_auto_reply(received_message.rawTag(), place(question), question.len, @intFromBool(reply != null), with.rawTag(), place(answer), answer.len, &outcome);
    if (!outcome.failed) return;
    const err = outcome.value.err;
    switch (err.tag) {
        .too_large => return failed(error.TooLarge, err.value.too_large),
        .limit => return error.Limit,
    }
}

/// A timer; never reused.
pub const Timer = enum(u64) {
    _,

    /// Calls `timer` with `tag` once, no earlier than `after_ms` milliseconds from now.
    pub fn set(after_ms: u32, tag: u64) TimerError!Timer {
        return setFor(after_ms, tag, null);
    }

    fn setFor(after_ms: u32, tag: u64, connection: ?Connection) TimerError!Timer {
        var outcome: raw.OutcomeU64TimersTimerError = undefined;
        const of = connection orelse Connection.fromId(0);
        raw.timers.set(after_ms, tag, @intFromBool(connection != null), of.id(), &outcome);
        if (!outcome.failed) return @fromBackingInt(@intCast(outcome.value.ok));
        return switch (outcome.value.err.tag) {
            .closed => error.Closed,
            .limit => error.Limit,
            .not_exported => error.NotExported,
        };
    }

    /// False when it has fired, was cancelled or never was.
    pub fn cancel(timer: Timer) bool {
        return raw.timers.cancel(@backingInt(timer)) != 0;
    }
};

/// Where and how to connect.
pub const ConnectOptions = struct {
    /// Subprotocols to offer, the preferred first.
    protocols: []const []const u8 = &.{},
    /// The Host header, in place of the one that the URL means.
    host: ?[]const u8 = null,
    origin: ?[]const u8 = null,
    headers: []const Header = &.{},
    /// Trusts a self-signed certificate for the right name too.
    allow_self_signed: bool = false,
    /// A client certificate that the operator gave, by its name.
    identity: ?[]const u8 = null,
    /// 13, 8 or 7; null for the newest.
    version: ?u8 = null,
    /// Offers permessage-deflate.
    compression: bool = false,
    /// For each part of connecting; null for the operator's.
    timeout_ms: ?u32 = null,
    /// The host connects again when the connection is lost.
    reconnect: ?Reconnect = null,
    /// Session data of the new connection.
    session: []const u8 = "",
};

pub const Reconnect = struct {
    /// Attempts in a row that may fail; 0 for no limit.
    attempts_max: u32 = 0,
    /// The first wait and the longest; null for 500 and 30,000.
    delay_ms: ?u32 = null,
    delay_max_ms: ?u32 = null,
};

/// Connects to `ws://` or `wss://` once the callback has returned: `opened` follows, or `closed` without it.
pub fn connect(url: []const u8, options: ConnectOptions) ConnectError!Connection {
    const protocols = scratch.alloc(raw.String, options.protocols.len) catch @panic("out of memory");
    for (protocols, options.protocols) |*to, name| to.* = string(name);
    const again = options.reconnect orelse Reconnect{};
    const given = raw.ClientOptions{
        .url = string(url),
        .protocols = .{ .ptr = if (protocols.len > 0) protocols.ptr else @ptrCast(&nowhere), .len = protocols.len },
        .host = rawOptional(options.host),
        .origin = rawOptional(options.origin),
        .headers = rawHeaders(options.headers),
        .verify = if (options.allow_self_signed) .allow_self_signed else .full,
        .identity = rawOptional(options.identity),
        .version = .{ .some = options.version != null, .value = options.version orelse 0 },
        .compression = options.compression,
        .timeout_ms = rawNumber(options.timeout_ms),
        .reconnect = .{ .some = options.reconnect != null, .value = .{
            .attempts_max = again.attempts_max,
            .delay_ms = rawNumber(again.delay_ms),
            .delay_max_ms = rawNumber(again.delay_max_ms),
        } },
        .session = string(options.session),
    };
    var outcome: raw.OutcomeU64ClientConnectError = undefined;
    raw.client.connect(&given, &outcome);
    if (!outcome.failed) return Connection.fromId(outcome.value.ok);
    const err = outcome.value.err;
    switch (err.tag) {
        .denied => {
            error_text = slice(err.value.denied);
            return error.Denied;
        },
        .invalid => {
            error_text = slice(err.value.invalid);
            return error.Invalid;
        },
        .unsupported_version => return error.UnsupportedVersion,
        .limit => return error.Limit,
    }
}

pub const Phase = enum { connect, tls, handshake };

/// Why the opening handshake of an outbound connection failed.
pub const Failure = union(enum) {
    denied: []const u8,
    unreachable_: []const u8,
    tls: []const u8,
    timed_out: Phase,
    ended,
    /// The server answered with this status.
    refused: u16,
    /// The server answered with a redirection, to here.
    redirected: ?[]const u8,
    invalid_response: []const u8,
    not_upgraded,
    accept_missing,
    accept_wrong,
    protocol_not_offered,
    extension_not_offered: []const u8,

    fn from(failure: raw.ClientFailure) Failure {
        const value = failure.value;
        return switch (failure.tag) {
            .denied => .{ .denied = slice(value.denied) },
            .@"unreachable" => .{ .unreachable_ = slice(value.@"unreachable") },
            .tls => .{ .tls = slice(value.tls) },
            .timed_out => .{ .timed_out = switch (value.timed_out) {
                .connect => .connect,
                .tls => .tls,
                .handshake => .handshake,
            } },
            .ended => .ended,
            .refused => .{ .refused = value.refused },
            .redirected => .{ .redirected = optional(value.redirected) },
            .invalid_response => .{ .invalid_response = slice(value.invalid_response) },
            .not_upgraded => .not_upgraded,
            .accept_missing => .accept_missing,
            .accept_wrong => .accept_wrong,
            .protocol_not_offered => .protocol_not_offered,
            .extension_not_offered => .{ .extension_not_offered = slice(value.extension_not_offered) },
        };
    }

    /// In English, until the callback returns.
    pub fn text(failure: Failure) []const u8 {
        return switch (failure) {
            .denied => |why| format("denied: {s}", .{why}),
            .unreachable_ => |why| format("unreachable: {s}", .{why}),
            .tls => |why| format("TLS failed: {s}", .{why}),
            .timed_out => |phase| format("timed out: {s}", .{@tagName(phase)}),
            .ended => "server ended the transport in the opening handshake",
            .refused => |status| format("server refused with status {d}", .{status}),
            .redirected => |to| format("server redirected to {s}", .{to orelse "nowhere"}),
            .invalid_response => |why| format("invalid response: {s}", .{why}),
            .not_upgraded => "response does not upgrade to WebSocket",
            .accept_missing => "accept header is missing",
            .accept_wrong => "accept header does not answer the key",
            .protocol_not_offered => "server chose a subprotocol that was not offered",
            .extension_not_offered => |name| format("server chose an extension that was not offered: {s}", .{name}),
        };
    }
};

/// The answer of a server to an opening handshake.
pub const Response = struct {
    status: u16,
    headers: []const Header,
};

/// The name of this machine.
pub fn hostname() []const u8 {
    var answer: raw.String = undefined;
    raw.host_info.hostname(&answer);
    return slice(answer);
}

/// The name of this handler.
pub fn handlerName() []const u8 {
    var answer: raw.String = undefined;
    raw.host_info.handler_name(&answer);
    return slice(answer);
}

/// A value of --config KEY=VALUE.
pub fn config(key: []const u8) ?[]const u8 {
    var answer: raw.OptionalString = undefined;
    raw.host_info.config(place(key), key.len, &answer);
    return optional(answer);
}

/// Connections of this handler that are open on this worker.
pub fn connectionCount() u32 {
    return raw.host_info.connection_count();
}

/// Formats a text that lives until the callback returns.
pub fn format(comptime template: []const u8, arguments: anytype) []const u8 {
    return std.fmt.allocPrint(scratch, template, arguments) catch @panic("out of memory");
}

/// Writes a line to the log of the host.
pub fn log(comptime template: []const u8, arguments: anytype) void {
    write(format(template ++ "\n", arguments));
}

/// Says in the log what was wrong. In the file of the handler: `pub const panic = wsrun.panic;`
pub const panic = std.debug.FullPanic(panicked);

fn panicked(message: []const u8, _: ?usize) noreturn {
    write("panic: ");
    write(message);
    write("\n");
    @trap();
}

/// For `std.log` in the file of the handler: `pub const std_options = wsrun.std_options;`
pub const std_options: std.Options = .{ .logFn = logFn };

fn logFn(comptime level: std.log.Level, comptime scope: @TypeOf(.enum_literal), comptime template: []const u8, arguments: anytype) void {
    const prefix = if (scope == .default) "" else "(" ++ @tagName(scope) ++ ")";
    log(comptime level.asText() ++ prefix ++ ": " ++ template, arguments);
}

const Vector = extern struct { ptr: [*]const u8, len: usize };
extern "wasi_snapshot_preview1" fn fd_write(file: u32, vectors: [*]const Vector, count: usize, written: *usize) u32;

fn write(text: []const u8) void {
    const stderr = 2;
    var written: usize = 0;
    _ = fd_write(stderr, &.{.{ .ptr = text.ptr, .len = text.len }}, 1, &written);
}

/// Memory that lives until the callback returns.
pub const scratch: std.mem.Allocator = .{ .ptr = undefined, .vtable = &.{
    .alloc = scratchAlloc,
    .resize = scratchResize,
    .remap = scratchRemap,
    .free = scratchFree,
} };

/// Exports the functions that the struct has, and no others. Call it once, in a `comptime` block.
pub fn handler(comptime Handler: type) void {
    const exports = Exports(Handler);
    @export(&realloc, .{ .name = "cabi_realloc" });
    @export(&exports.opened, .{ .name = raw.names.handler_opened });
    @export(&exports.received, .{ .name = raw.names.handler_received });
    @export(&exports.closed, .{ .name = raw.names.handler_closed });
    if (@hasDecl(Handler, "received")) @export(&exports.packedReceived, .{ .name = raw.names.packed_received });
    if (@hasDecl(Handler, "handshake")) @export(&exports.handshake, .{ .name = raw.names.handshake_requested });
    if (@hasDecl(Handler, "writable")) @export(&exports.writable, .{ .name = raw.names.writable_writable });
    if (@hasDecl(Handler, "chunk")) @export(&exports.chunk, .{ .name = raw.names.chunks_received_chunk });
    if (@hasDecl(Handler, "wanted")) @export(&exports.wanted, .{ .name = raw.names.broadcast_filter_wanted });
    if (@hasDecl(Handler, "accepts")) @export(&exports.accepts, .{ .name = raw.names.network_filter_accepts });
    if (@hasDecl(Handler, "http")) @export(&exports.http, .{ .name = raw.names.http_requested });
    if (@hasDecl(Handler, "lost") or @hasDecl(Handler, "restored")) {
        @export(&exports.lost, .{ .name = raw.names.reconnection_lost });
        @export(&exports.restored, .{ .name = raw.names.reconnection_restored });
    }
    if (@hasDecl(Handler, "pong")) @export(&exports.pong, .{ .name = raw.names.pong_pong });
    if (@hasDecl(Handler, "timer")) @export(&exports.timer, .{ .name = raw.names.timer_handler_fired });
    for (.{ "started", "resumed", "save", "restore", "draining" }) |name| {
        if (!@hasDecl(Handler, name)) continue;
        @export(&exports.started, .{ .name = raw.names.lifecycle_started });
        @export(&exports.resumed, .{ .name = raw.names.lifecycle_resumed });
        @export(&exports.save, .{ .name = raw.names.lifecycle_save });
        @export(&exports.restore, .{ .name = raw.names.lifecycle_restore });
        @export(&exports.draining, .{ .name = raw.names.lifecycle_draining });
        break;
    }
}

fn Exports(comptime Handler: type) type {
    return struct {
        fn opened(connection: u64) callconv(.c) void {
            defer giveBack();
            if (@hasDecl(Handler, "opened")) finish(Handler.opened(.fromId(connection)));
        }

        fn received(connection: u64, tag: u32, data: [*]const u8, len: usize) callconv(.c) void {
            defer giveBack();
            if (@hasDecl(Handler, "received")) finish(Handler.received(.fromId(connection), .from(tag, data, len)));
        }

        /// Messages that arrived together come in one call: before each are 4 bytes with its length, and with whether it is a text.
        fn packedReceived(connection: u64, data: [*]const u8, len: usize, _: u32) callconv(.c) void {
            defer giveBack();
            const is_text: u32 = 1 << 31;
            var rest = data[0..len];
            while (rest.len > 0) {
                const prefix = std.mem.readInt(u32, rest[0..4], .little);
                const message = rest[4..][0 .. prefix & ~is_text];
                rest = rest[4 + message.len ..];
                finish(Handler.received(.fromId(connection), if (prefix & is_text != 0) .{ .text = message } else .{ .binary = message }));
            }
        }

        fn closed(connection: u64, code: u32, reason: [*]const u8, len: usize, by: u32, clean: u32) callconv(.c) void {
            defer giveBack();
            if (@hasDecl(Handler, "closed")) finish(Handler.closed(.fromId(connection), .from(code, reason, len, by, clean)));
        }

        // The host reads what is returned before it passes anything again: what is given back is still there.

        var handshake_outcome: raw.OutcomeHandshakeAcceptanceHandshakeRefusal = undefined;

        fn handshake(request: *const raw.Request) callconv(.c) *const anyopaque {
            defer giveBack();
            const answer: Handshake = finish(Handler.handshake(.from(request.*)));
            handshake_outcome = switch (answer) {
                .accept => |acceptance| .{ .failed = false, .value = .{ .ok = .{
                    .protocol = rawOptional(acceptance.protocol),
                    .headers = rawHeaders(acceptance.headers),
                    .session = string(acceptance.session),
                } } },
                .refuse => |refusal| .{ .failed = true, .value = .{ .err = .{
                    .status = refusal.status,
                    .headers = rawHeaders(refusal.headers),
                    .body = string(refusal.body),
                } } },
            };
            return &handshake_outcome;
        }

        fn writable(connection: u64) callconv(.c) void {
            defer giveBack();
            finish(Handler.writable(.fromId(connection)));
        }

        fn chunk(connection: u64, text: u32, data: [*]const u8, len: usize, first: u32, last: u32, remaining: u64) callconv(.c) void {
            defer giveBack();
            finish(Handler.chunk(.fromId(connection), .{
                .kind = if (text != 0) .text else .binary,
                .data = data[0..len],
                .first = first != 0,
                .last = last != 0,
                .remaining = remaining,
            }));
        }

        fn wanted(connection: u64, tag: u32, data: [*]const u8, len: usize) callconv(.c) u32 {
            defer giveBack();
            return @intFromBool(finish(Handler.wanted(.fromId(connection), .from(tag, data, len))));
        }

        fn accepts(peer: [*]const u8, peer_len: usize, local: [*]const u8, local_len: usize) callconv(.c) u32 {
            defer giveBack();
            return @intFromBool(finish(Handler.accepts(peer[0..peer_len], local[0..local_len])));
        }

        /// The parameters are too many to be passed one by one.
        const HttpParameters = extern struct { method: raw.String, request: raw.Request, body: raw.Bytes };

        var http_response: raw.HttpResponse = undefined;

        fn http(parameters: *const HttpParameters) callconv(.c) *const anyopaque {
            defer giveBack();
            const response: HttpResponse = finish(Handler.http(.{
                .method = slice(parameters.method),
                .request = .from(parameters.request),
                .body = slice(parameters.body),
            }));
            http_response = .{
                .status = response.status,
                .headers = rawHeaders(response.headers),
                .body = switch (response.body) {
                    .bytes => |data| .{ .tag = .bytes, .value = .{ .bytes = string(data) } },
                    .file => |path| .{ .tag = .file, .value = .{ .file = string(path) } },
                },
            };
            return &http_response;
        }

        fn lost(connection: u64, code: u32, reason: [*]const u8, len: usize, by: u32, clean: u32, attempt: u32, after_ms: u32) callconv(.c) void {
            defer giveBack();
            if (@hasDecl(Handler, "lost")) finish(Handler.lost(.fromId(connection), .from(code, reason, len, by, clean), attempt, after_ms));
        }

        fn restored(connection: u64) callconv(.c) void {
            defer giveBack();
            if (@hasDecl(Handler, "restored")) finish(Handler.restored(.fromId(connection)));
        }

        fn pong(connection: u64, payload: [*]const u8, len: usize) callconv(.c) void {
            defer giveBack();
            finish(Handler.pong(.fromId(connection), payload[0..len]));
        }

        fn timer(number: u64, tag: u64, some: u32, connection: u64) callconv(.c) void {
            defer giveBack();
            finish(Handler.timer(@fromBackingInt(@intCast(number)), tag, if (some != 0) .fromId(connection) else null));
        }

        fn started() callconv(.c) void {
            defer giveBack();
            if (@hasDecl(Handler, "started")) finish(Handler.started());
        }

        fn resumed(connection: u64) callconv(.c) void {
            defer giveBack();
            if (@hasDecl(Handler, "resumed")) finish(Handler.resumed(.fromId(connection)));
        }

        var saved: raw.Bytes = undefined;

        fn save() callconv(.c) *const anyopaque {
            defer giveBack();
            saved = string(if (@hasDecl(Handler, "save")) finish(Handler.save()) else "");
            return &saved;
        }

        var restore_outcome: raw.OutcomeNoneString = undefined;

        fn restore(data: [*]const u8, len: usize) callconv(.c) *const anyopaque {
            defer giveBack();
            restore_outcome = .{ .failed = false, .value = .{ .err = string("") } };
            if (@hasDecl(Handler, "restore")) {
                const result: anyerror!void = Handler.restore(data[0..len]);
                result catch |err| {
                    restore_outcome = .{ .failed = true, .value = .{ .err = string(@errorName(err)) } };
                };
            }
            return &restore_outcome;
        }

        fn draining(deadline_ms: u32) callconv(.c) void {
            defer giveBack();
            if (@hasDecl(Handler, "draining")) finish(Handler.draining(deadline_ms));
        }
    };
}

/// What a function of the handler returned. An error of it is a trap whose text is in the log.
fn finish(result: anytype) Finished(@TypeOf(result)) {
    if (@typeInfo(@TypeOf(result)) == .error_union) {
        return result catch |err| @panic(@errorName(err));
    }
    return result;
}

fn Finished(comptime Result: type) type {
    return switch (@typeInfo(Result)) {
        .error_union => |it| it.payload,
        else => Result,
    };
}

var error_number: u64 = 0;
var error_text: []const u8 = "";

fn failed(err: anytype, number: u64) @TypeOf(err) {
    error_number = number;
    return err;
}

fn checkSent(outcome: raw.OutcomeNoneSendError) SendError!void {
    if (!outcome.failed) return;
    const err = outcome.value.err;
    switch (err.tag) {
        .closed => return error.Closed,
        .queue_full => return failed(error.QueueFull, err.value.queue_full),
        .too_large => return failed(error.TooLarge, err.value.too_large),
    }
}

fn checkPublished(outcome: raw.OutcomeU32PublishError) PublishError!u32 {
    if (!outcome.failed) return outcome.value.ok;
    const err = outcome.value.err;
    switch (err.tag) {
        .waiting => return failed(error.Waiting, err.value.waiting),
        .too_large => return failed(error.TooLarge, err.value.too_large),
    }
}

fn rawPolicy(policy: ?SlowPolicy) struct { u32, u32 } {
    const tag: raw.SlowPolicy.Tag, const code: u16 = switch (policy orelse .wait) {
        .wait => .{ .wait, 0 },
        .drop_oldest => .{ .drop_oldest, 0 },
        .drop_newest => .{ .drop_newest, 0 },
        .latest_only => .{ .latest_only, 0 },
        .disconnect => |code| .{ .disconnect, code },
    };
    return .{ @backingInt(tag), code };
}

fn slice(text: raw.String) []const u8 {
    return text.ptr[0..text.len];
}

fn optional(text: raw.OptionalString) ?[]const u8 {
    return if (text.some) slice(text.value) else null;
}

fn headersOf(headers: raw.ListTupleStringBytes) []const Header {
    return @as([*]const Header, @ptrCast(headers.ptr))[0..headers.len];
}

/// Where bytes are. A slice of none may point anywhere, and the host looks at that too.
fn place(bytes: []const u8) [*]const u8 {
    return if (bytes.len > 0) bytes.ptr else &nowhere;
}

const nowhere: [8]u8 align(8) = @splat(0);

fn string(text: []const u8) raw.String {
    return .{ .ptr = place(text), .len = text.len };
}

fn rawOptional(text: ?[]const u8) raw.OptionalString {
    return .{ .some = text != null, .value = string(text orelse "") };
}

fn rawNumber(number: ?u32) raw.OptionalU32 {
    return .{ .some = number != null, .value = number orelse 0 };
}

fn rawHeaders(headers: []const Header) raw.ListTupleStringString {
    return .{ .ptr = if (headers.len > 0) @ptrCast(headers.ptr) else @ptrCast(&nowhere), .len = headers.len };
}

fn decoded(text: []const u8) []const u8 {
    const out = scratch.alloc(u8, text.len) catch @panic("out of memory");
    var used: usize = 0;
    var at: usize = 0;
    while (at < text.len) : (at += 1) {
        out[used] = switch (text[at]) {
            '+' => ' ',
            '%' => if (at + 2 < text.len) std.fmt.parseInt(u8, text[at + 1 .. at + 3], 16) catch '%' else '%',
            else => |byte| byte,
        };
        if (text[at] == '%' and out[used] != '%') at += 2;
        used += 1;
    }
    return out[0..used];
}

/// What lives until the callback returns: one block, which a larger one takes the place of when it is full.
var block: []u8 = &.{};
var block_used: usize = 0;
const page_bytes = 64 * 1024;

fn take(alignment: usize, len: usize) ?[*]u8 {
    var at = std.mem.alignForward(usize, block_used, alignment);
    const end = std.math.add(usize, at, len) catch return null;
    if (end > block.len) {
        const pages = std.math.divCeil(usize, @max(len, 2 * block.len, 1), page_bytes) catch return null;
        const before = @wasmMemoryGrow(0, pages);
        if (before < 0) return null;
        // What is in the old block is still in use.
        block = @as([*]u8, @ptrFromInt(@as(usize, @intCast(before)) * page_bytes))[0 .. pages * page_bytes];
        at = 0;
    }
    block_used = at + len;
    return block.ptr + at;
}

fn giveBack() void {
    block_used = 0;
}

/// The host puts what it passes where this says.
fn realloc(old: [*]const u8, old_len: usize, alignment: usize, len: usize) callconv(.c) [*]u8 {
    const new = take(alignment, len) orelse @trap();
    const kept = @min(old_len, len);
    @memcpy(new[0..kept], old[0..kept]);
    return new;
}

fn scratchAlloc(_: *anyopaque, len: usize, alignment: std.mem.Alignment, _: usize) ?[*]u8 {
    return take(alignment.toByteUnits(), len);
}

fn scratchResize(_: *anyopaque, memory: []u8, _: std.mem.Alignment, new_len: usize, _: usize) bool {
    return new_len <= memory.len;
}

fn scratchRemap(_: *anyopaque, memory: []u8, _: std.mem.Alignment, new_len: usize, _: usize) ?[*]u8 {
    return if (new_len <= memory.len) memory.ptr else null;
}

fn scratchFree(_: *anyopaque, _: []u8, _: std.mem.Alignment, _: usize) void {}
