//! Generated from wit/ by wsrun-guest-bindgen. Do not edit.

pub const String = extern struct { ptr: [*]const u8, len: usize };
pub const Bytes = String;

pub const Message = extern struct {
    tag: Tag,
    value: extern union {
        text: String,
        binary: Bytes,
    },

    pub const Tag = enum(u8) {
        text,
        binary,
    };
};
comptime {
    if (@sizeOf(Message) != 12 or @alignOf(Message) != 4) @compileError("layout of Message");
}

pub const SendError = extern struct {
    tag: Tag,
    value: extern union {
        queue_full: u64,
        too_large: u64,
    },

    pub const Tag = enum(u8) {
        closed,
        queue_full,
        too_large,
    };
};
comptime {
    if (@sizeOf(SendError) != 16 or @alignOf(SendError) != 8) @compileError("layout of SendError");
}

pub const OutcomeNoneSendError = extern struct { failed: bool, value: extern union { err: SendError } };
comptime {
    if (@sizeOf(OutcomeNoneSendError) != 24 or @alignOf(OutcomeNoneSendError) != 8) @compileError("layout of OutcomeNoneSendError");
}

pub const ConnectionsChunkError = extern struct {
    tag: Tag,
    value: extern union {
        queue_full: u64,
        too_large: u64,
    },

    pub const Tag = enum(u8) {
        closed,
        queue_full,
        too_large,
        invalid_text,
        wrong_kind,
    };
};
comptime {
    if (@sizeOf(ConnectionsChunkError) != 16 or @alignOf(ConnectionsChunkError) != 8) @compileError("layout of ConnectionsChunkError");
}

pub const OutcomeNoneConnectionsChunkError = extern struct { failed: bool, value: extern union { err: ConnectionsChunkError } };
comptime {
    if (@sizeOf(OutcomeNoneConnectionsChunkError) != 24 or @alignOf(OutcomeNoneConnectionsChunkError) != 8) @compileError("layout of OutcomeNoneConnectionsChunkError");
}

pub const OptionalString = extern struct { some: bool, value: String };
comptime {
    if (@sizeOf(OptionalString) != 12 or @alignOf(OptionalString) != 4) @compileError("layout of OptionalString");
}

pub const SlowPolicy = extern struct {
    tag: Tag,
    value: extern union {
        disconnect: u16,
    },

    pub const Tag = enum(u8) {
        wait,
        drop_oldest,
        drop_newest,
        latest_only,
        disconnect,
    };
};
comptime {
    if (@sizeOf(SlowPolicy) != 4 or @alignOf(SlowPolicy) != 2) @compileError("layout of SlowPolicy");
}

pub const OptionalSlowPolicy = extern struct { some: bool, value: SlowPolicy };
comptime {
    if (@sizeOf(OptionalSlowPolicy) != 6 or @alignOf(OptionalSlowPolicy) != 2) @compileError("layout of OptionalSlowPolicy");
}

pub const OptionalMessage = extern struct { some: bool, value: Message };
comptime {
    if (@sizeOf(OptionalMessage) != 16 or @alignOf(OptionalMessage) != 4) @compileError("layout of OptionalMessage");
}

pub const ConnectionsAutoReplyError = extern struct {
    tag: Tag,
    value: extern union {
        too_large: u64,
    },

    pub const Tag = enum(u8) {
        too_large,
        limit,
    };
};
comptime {
    if (@sizeOf(ConnectionsAutoReplyError) != 16 or @alignOf(ConnectionsAutoReplyError) != 8) @compileError("layout of ConnectionsAutoReplyError");
}

pub const OutcomeNoneConnectionsAutoReplyError = extern struct { failed: bool, value: extern union { err: ConnectionsAutoReplyError } };
comptime {
    if (@sizeOf(OutcomeNoneConnectionsAutoReplyError) != 24 or @alignOf(OutcomeNoneConnectionsAutoReplyError) != 8) @compileError("layout of OutcomeNoneConnectionsAutoReplyError");
}

pub const Role = enum(u8) { server, client };
comptime {
    if (@sizeOf(Role) != 1 or @alignOf(Role) != 1) @compileError("layout of Role");
}

pub const TupleStringBytes = extern struct {
    first: String,
    second: Bytes,
};
comptime {
    if (@sizeOf(TupleStringBytes) != 16 or @alignOf(TupleStringBytes) != 4) @compileError("layout of TupleStringBytes");
}

pub const ListTupleStringBytes = extern struct { ptr: [*]const TupleStringBytes, len: usize };
comptime {
    if (@sizeOf(ListTupleStringBytes) != 8 or @alignOf(ListTupleStringBytes) != 4) @compileError("layout of ListTupleStringBytes");
}

pub const ListString = extern struct { ptr: [*]const String, len: usize };
comptime {
    if (@sizeOf(ListString) != 8 or @alignOf(ListString) != 4) @compileError("layout of ListString");
}

pub const Request = extern struct {
    role: Role,
    path: String,
    query: OptionalString,
    headers: ListTupleStringBytes,
    offered: ListString,
    peer: String,
    local: String,
    secure: bool,
    host: OptionalString,
};
comptime {
    if (@sizeOf(Request) != 72 or @alignOf(Request) != 4) @compileError("layout of Request");
}

pub const OptionalRequest = extern struct { some: bool, value: Request };
comptime {
    if (@sizeOf(OptionalRequest) != 76 or @alignOf(OptionalRequest) != 4) @compileError("layout of OptionalRequest");
}

pub const TopicsSubscribeError = extern struct {
    tag: Tag,

    pub const Tag = enum(u8) {
        closed,
        invalid_name,
        limit,
    };
};
comptime {
    if (@sizeOf(TopicsSubscribeError) != 1 or @alignOf(TopicsSubscribeError) != 1) @compileError("layout of TopicsSubscribeError");
}

pub const OutcomeBoolTopicsSubscribeError = extern struct { failed: bool, value: extern union { ok: bool, err: TopicsSubscribeError } };
comptime {
    if (@sizeOf(OutcomeBoolTopicsSubscribeError) != 2 or @alignOf(OutcomeBoolTopicsSubscribeError) != 1) @compileError("layout of OutcomeBoolTopicsSubscribeError");
}

pub const OptionalU64 = extern struct { some: bool, value: u64 };
comptime {
    if (@sizeOf(OptionalU64) != 16 or @alignOf(OptionalU64) != 8) @compileError("layout of OptionalU64");
}

pub const PublishError = extern struct {
    tag: Tag,
    value: extern union {
        waiting: u32,
        too_large: u64,
    },

    pub const Tag = enum(u8) {
        waiting,
        too_large,
    };
};
comptime {
    if (@sizeOf(PublishError) != 16 or @alignOf(PublishError) != 8) @compileError("layout of PublishError");
}

pub const OutcomeU32PublishError = extern struct { failed: bool, value: extern union { ok: u32, err: PublishError } };
comptime {
    if (@sizeOf(OutcomeU32PublishError) != 24 or @alignOf(OutcomeU32PublishError) != 8) @compileError("layout of OutcomeU32PublishError");
}

pub const TupleStringString = extern struct {
    first: String,
    second: String,
};
comptime {
    if (@sizeOf(TupleStringString) != 16 or @alignOf(TupleStringString) != 4) @compileError("layout of TupleStringString");
}

pub const ListTupleStringString = extern struct { ptr: [*]const TupleStringString, len: usize };
comptime {
    if (@sizeOf(ListTupleStringString) != 8 or @alignOf(ListTupleStringString) != 4) @compileError("layout of ListTupleStringString");
}

pub const ClientVerify = enum(u8) { full, allow_self_signed };
comptime {
    if (@sizeOf(ClientVerify) != 1 or @alignOf(ClientVerify) != 1) @compileError("layout of ClientVerify");
}

pub const OptionalU8 = extern struct { some: bool, value: u8 };
comptime {
    if (@sizeOf(OptionalU8) != 2 or @alignOf(OptionalU8) != 1) @compileError("layout of OptionalU8");
}

pub const OptionalU32 = extern struct { some: bool, value: u32 };
comptime {
    if (@sizeOf(OptionalU32) != 8 or @alignOf(OptionalU32) != 4) @compileError("layout of OptionalU32");
}

pub const ClientReconnect = extern struct {
    attempts_max: u32,
    delay_ms: OptionalU32,
    delay_max_ms: OptionalU32,
};
comptime {
    if (@sizeOf(ClientReconnect) != 20 or @alignOf(ClientReconnect) != 4) @compileError("layout of ClientReconnect");
}

pub const OptionalClientReconnect = extern struct { some: bool, value: ClientReconnect };
comptime {
    if (@sizeOf(OptionalClientReconnect) != 24 or @alignOf(OptionalClientReconnect) != 4) @compileError("layout of OptionalClientReconnect");
}

pub const ClientOptions = extern struct {
    url: String,
    protocols: ListString,
    host: OptionalString,
    origin: OptionalString,
    headers: ListTupleStringString,
    verify: ClientVerify,
    identity: OptionalString,
    version: OptionalU8,
    compression: bool,
    timeout_ms: OptionalU32,
    reconnect: OptionalClientReconnect,
    session: Bytes,
};
comptime {
    if (@sizeOf(ClientOptions) != 108 or @alignOf(ClientOptions) != 4) @compileError("layout of ClientOptions");
}

pub const ClientConnectError = extern struct {
    tag: Tag,
    value: extern union {
        denied: String,
        invalid: String,
        unsupported_version: Bytes,
    },

    pub const Tag = enum(u8) {
        denied,
        invalid,
        unsupported_version,
        limit,
    };
};
comptime {
    if (@sizeOf(ClientConnectError) != 12 or @alignOf(ClientConnectError) != 4) @compileError("layout of ClientConnectError");
}

pub const OutcomeU64ClientConnectError = extern struct { failed: bool, value: extern union { ok: u64, err: ClientConnectError } };
comptime {
    if (@sizeOf(OutcomeU64ClientConnectError) != 24 or @alignOf(OutcomeU64ClientConnectError) != 8) @compileError("layout of OutcomeU64ClientConnectError");
}

pub const ClientPhase = enum(u8) { connect, tls, handshake };
comptime {
    if (@sizeOf(ClientPhase) != 1 or @alignOf(ClientPhase) != 1) @compileError("layout of ClientPhase");
}

pub const ClientFailure = extern struct {
    tag: Tag,
    value: extern union {
        denied: String,
        @"unreachable": String,
        tls: String,
        timed_out: ClientPhase,
        refused: u16,
        redirected: OptionalString,
        invalid_response: String,
        extension_not_offered: String,
    },

    pub const Tag = enum(u8) {
        denied,
        @"unreachable",
        tls,
        timed_out,
        ended,
        refused,
        redirected,
        invalid_response,
        not_upgraded,
        accept_missing,
        accept_wrong,
        protocol_not_offered,
        extension_not_offered,
    };
};
comptime {
    if (@sizeOf(ClientFailure) != 16 or @alignOf(ClientFailure) != 4) @compileError("layout of ClientFailure");
}

pub const OptionalClientFailure = extern struct { some: bool, value: ClientFailure };
comptime {
    if (@sizeOf(OptionalClientFailure) != 20 or @alignOf(OptionalClientFailure) != 4) @compileError("layout of OptionalClientFailure");
}

pub const ClientResponse = extern struct {
    status: u16,
    headers: ListTupleStringBytes,
};
comptime {
    if (@sizeOf(ClientResponse) != 12 or @alignOf(ClientResponse) != 4) @compileError("layout of ClientResponse");
}

pub const OptionalClientResponse = extern struct { some: bool, value: ClientResponse };
comptime {
    if (@sizeOf(OptionalClientResponse) != 16 or @alignOf(OptionalClientResponse) != 4) @compileError("layout of OptionalClientResponse");
}

pub const TimersTimerError = extern struct {
    tag: Tag,

    pub const Tag = enum(u8) {
        closed,
        limit,
        not_exported,
    };
};
comptime {
    if (@sizeOf(TimersTimerError) != 1 or @alignOf(TimersTimerError) != 1) @compileError("layout of TimersTimerError");
}

pub const OutcomeU64TimersTimerError = extern struct { failed: bool, value: extern union { ok: u64, err: TimersTimerError } };
comptime {
    if (@sizeOf(OutcomeU64TimersTimerError) != 16 or @alignOf(OutcomeU64TimersTimerError) != 8) @compileError("layout of OutcomeU64TimersTimerError");
}

pub const HandshakeAcceptance = extern struct {
    protocol: OptionalString,
    headers: ListTupleStringString,
    session: Bytes,
};
comptime {
    if (@sizeOf(HandshakeAcceptance) != 28 or @alignOf(HandshakeAcceptance) != 4) @compileError("layout of HandshakeAcceptance");
}

pub const HandshakeRefusal = extern struct {
    status: u16,
    headers: ListTupleStringString,
    body: String,
};
comptime {
    if (@sizeOf(HandshakeRefusal) != 20 or @alignOf(HandshakeRefusal) != 4) @compileError("layout of HandshakeRefusal");
}

pub const OutcomeHandshakeAcceptanceHandshakeRefusal = extern struct { failed: bool, value: extern union { ok: HandshakeAcceptance, err: HandshakeRefusal } };
comptime {
    if (@sizeOf(OutcomeHandshakeAcceptanceHandshakeRefusal) != 32 or @alignOf(OutcomeHandshakeAcceptanceHandshakeRefusal) != 4) @compileError("layout of OutcomeHandshakeAcceptanceHandshakeRefusal");
}

pub const ChunksChunk = extern struct {
    text: bool,
    data: Bytes,
    first: bool,
    final: bool,
    remaining: u64,
};
comptime {
    if (@sizeOf(ChunksChunk) != 24 or @alignOf(ChunksChunk) != 8) @compileError("layout of ChunksChunk");
}

pub const HttpBody = extern struct {
    tag: Tag,
    value: extern union {
        bytes: Bytes,
        file: String,
    },

    pub const Tag = enum(u8) {
        bytes,
        file,
    };
};
comptime {
    if (@sizeOf(HttpBody) != 12 or @alignOf(HttpBody) != 4) @compileError("layout of HttpBody");
}

pub const HttpResponse = extern struct {
    status: u16,
    headers: ListTupleStringString,
    body: HttpBody,
};
comptime {
    if (@sizeOf(HttpResponse) != 24 or @alignOf(HttpResponse) != 4) @compileError("layout of HttpResponse");
}

pub const ClosedBy = enum(u8) { peer, handler, host };
comptime {
    if (@sizeOf(ClosedBy) != 1 or @alignOf(ClosedBy) != 1) @compileError("layout of ClosedBy");
}

pub const CloseInfo = extern struct {
    code: u16,
    reason: String,
    by: ClosedBy,
    clean: bool,
};
comptime {
    if (@sizeOf(CloseInfo) != 16 or @alignOf(CloseInfo) != 4) @compileError("layout of CloseInfo");
}

pub const OutcomeNoneString = extern struct { failed: bool, value: extern union { err: String } };
comptime {
    if (@sizeOf(OutcomeNoneString) != 12 or @alignOf(OutcomeNoneString) != 4) @compileError("layout of OutcomeNoneString");
}

pub const packed_send = struct {
    pub const send = @extern(*const fn (u64, ?*const anyopaque, usize) callconv(.c) void, .{ .name = "send", .library_name = "wsrun:websocket/packed-send@0.1.0" });
};

pub const connections = struct {
    pub const send = @extern(*const fn (u64, u32, ?*const anyopaque, usize, *anyopaque) callconv(.c) void, .{ .name = "send", .library_name = "wsrun:websocket/connections@0.1.0" });
    pub const send_chunk = @extern(*const fn (u64, u32, ?*const anyopaque, usize, u32, *anyopaque) callconv(.c) void, .{ .name = "send-chunk", .library_name = "wsrun:websocket/connections@0.1.0" });
    pub const ping = @extern(*const fn (u64, ?*const anyopaque, usize, *anyopaque) callconv(.c) void, .{ .name = "ping", .library_name = "wsrun:websocket/connections@0.1.0" });
    pub const pong = @extern(*const fn (u64, ?*const anyopaque, usize, *anyopaque) callconv(.c) void, .{ .name = "pong", .library_name = "wsrun:websocket/connections@0.1.0" });
    pub const close = @extern(*const fn (u64, u32, ?*const anyopaque, usize) callconv(.c) void, .{ .name = "close", .library_name = "wsrun:websocket/connections@0.1.0" });
    pub const abort = @extern(*const fn (u64) callconv(.c) void, .{ .name = "abort", .library_name = "wsrun:websocket/connections@0.1.0" });
    pub const buffered = @extern(*const fn (u64) callconv(.c) u64, .{ .name = "buffered", .library_name = "wsrun:websocket/connections@0.1.0" });
    pub const want_writable = @extern(*const fn (u64) callconv(.c) void, .{ .name = "want-writable", .library_name = "wsrun:websocket/connections@0.1.0" });
    pub const want_writable_all = @extern(*const fn (u32, ?*const anyopaque, usize) callconv(.c) void, .{ .name = "want-writable-all", .library_name = "wsrun:websocket/connections@0.1.0" });
    pub const set_slow_policy = @extern(*const fn (u64, u32, u32, u32) callconv(.c) void, .{ .name = "set-slow-policy", .library_name = "wsrun:websocket/connections@0.1.0" });
    pub const dropped = @extern(*const fn (u64) callconv(.c) u64, .{ .name = "dropped", .library_name = "wsrun:websocket/connections@0.1.0" });
    pub const receive_flow = @extern(*const fn (u64, u32) callconv(.c) void, .{ .name = "receive-flow", .library_name = "wsrun:websocket/connections@0.1.0" });
    pub const set_auto_reply = @extern(*const fn (u32, ?*const anyopaque, usize, u32, u32, ?*const anyopaque, usize, *anyopaque) callconv(.c) void, .{ .name = "set-auto-reply", .library_name = "wsrun:websocket/connections@0.1.0" });
    pub const request_of = @extern(*const fn (u64, *anyopaque) callconv(.c) void, .{ .name = "request-of", .library_name = "wsrun:websocket/connections@0.1.0" });
    pub const protocol = @extern(*const fn (u64, *anyopaque) callconv(.c) void, .{ .name = "protocol", .library_name = "wsrun:websocket/connections@0.1.0" });
    pub const session = @extern(*const fn (u64, *anyopaque) callconv(.c) void, .{ .name = "session", .library_name = "wsrun:websocket/connections@0.1.0" });
    pub const set_session = @extern(*const fn (u64, ?*const anyopaque, usize, *anyopaque) callconv(.c) void, .{ .name = "set-session", .library_name = "wsrun:websocket/connections@0.1.0" });
};

pub const topics = struct {
    pub const subscribe = @extern(*const fn (u64, ?*const anyopaque, usize, *anyopaque) callconv(.c) void, .{ .name = "subscribe", .library_name = "wsrun:websocket/topics@0.1.0" });
    pub const unsubscribe = @extern(*const fn (u64, ?*const anyopaque, usize) callconv(.c) u32, .{ .name = "unsubscribe", .library_name = "wsrun:websocket/topics@0.1.0" });
    pub const publish = @extern(*const fn (?*const anyopaque, usize, u32, ?*const anyopaque, usize, u32, u64, *anyopaque) callconv(.c) void, .{ .name = "publish", .library_name = "wsrun:websocket/topics@0.1.0" });
    pub const broadcast = @extern(*const fn (u32, ?*const anyopaque, usize, u32, ?*const anyopaque, usize, *anyopaque) callconv(.c) void, .{ .name = "broadcast", .library_name = "wsrun:websocket/topics@0.1.0" });
    pub const set_slow_policy = @extern(*const fn (?*const anyopaque, usize, u32, u32, u32) callconv(.c) void, .{ .name = "set-slow-policy", .library_name = "wsrun:websocket/topics@0.1.0" });
    pub const dropped = @extern(*const fn (?*const anyopaque, usize) callconv(.c) u64, .{ .name = "dropped", .library_name = "wsrun:websocket/topics@0.1.0" });
};

pub const client = struct {
    pub const connect = @extern(*const fn (?*const anyopaque, *anyopaque) callconv(.c) void, .{ .name = "connect", .library_name = "wsrun:websocket/client@0.1.0" });
    pub const failure_of = @extern(*const fn (u64, *anyopaque) callconv(.c) void, .{ .name = "failure-of", .library_name = "wsrun:websocket/client@0.1.0" });
    pub const response_of = @extern(*const fn (u64, *anyopaque) callconv(.c) void, .{ .name = "response-of", .library_name = "wsrun:websocket/client@0.1.0" });
};

pub const timers = struct {
    pub const set = @extern(*const fn (u32, u64, u32, u64, *anyopaque) callconv(.c) void, .{ .name = "set", .library_name = "wsrun:websocket/timers@0.1.0" });
    pub const cancel = @extern(*const fn (u64) callconv(.c) u32, .{ .name = "cancel", .library_name = "wsrun:websocket/timers@0.1.0" });
};

pub const host_info = struct {
    pub const hostname = @extern(*const fn (*anyopaque) callconv(.c) void, .{ .name = "hostname", .library_name = "wsrun:websocket/host-info@0.1.0" });
    pub const handler_name = @extern(*const fn (*anyopaque) callconv(.c) void, .{ .name = "handler-name", .library_name = "wsrun:websocket/host-info@0.1.0" });
    pub const config = @extern(*const fn (?*const anyopaque, usize, *anyopaque) callconv(.c) void, .{ .name = "config", .library_name = "wsrun:websocket/host-info@0.1.0" });
    pub const connection_count = @extern(*const fn () callconv(.c) u32, .{ .name = "connection-count", .library_name = "wsrun:websocket/host-info@0.1.0" });
};

/// Names of exports.
pub const names = struct {
    pub const handshake_requested = "wsrun:websocket/handshake@0.1.0#requested";
    pub const writable_writable = "wsrun:websocket/writable@0.1.0#writable";
    pub const chunks_received_chunk = "wsrun:websocket/chunks@0.1.0#received-chunk";
    pub const packed_received = "wsrun:websocket/packed@0.1.0#received";
    pub const broadcast_filter_wanted = "wsrun:websocket/broadcast-filter@0.1.0#wanted";
    pub const network_filter_accepts = "wsrun:websocket/network-filter@0.1.0#accepts";
    pub const http_requested = "wsrun:websocket/http@0.1.0#requested";
    pub const reconnection_lost = "wsrun:websocket/reconnection@0.1.0#lost";
    pub const reconnection_restored = "wsrun:websocket/reconnection@0.1.0#restored";
    pub const pong_pong = "wsrun:websocket/pong@0.1.0#pong";
    pub const timer_handler_fired = "wsrun:websocket/timer-handler@0.1.0#fired";
    pub const lifecycle_started = "wsrun:websocket/lifecycle@0.1.0#started";
    pub const lifecycle_resumed = "wsrun:websocket/lifecycle@0.1.0#resumed";
    pub const lifecycle_save = "wsrun:websocket/lifecycle@0.1.0#save";
    pub const lifecycle_restore = "wsrun:websocket/lifecycle@0.1.0#restore";
    pub const lifecycle_draining = "wsrun:websocket/lifecycle@0.1.0#draining";
    pub const handler_opened = "wsrun:websocket/handler@0.1.0#opened";
    pub const handler_received = "wsrun:websocket/handler@0.1.0#received";
    pub const handler_closed = "wsrun:websocket/handler@0.1.0#closed";
};
