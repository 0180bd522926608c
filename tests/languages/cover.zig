//! See README.md.

const std = @import("std");
const wsrun = @import("wsrun");
const format = wsrun.format;

comptime {
    wsrun.handler(@This());
}

pub const panic = wsrun.panic;

var messages: u32 = 0;
var resumed_count: u32 = 0;
var was_started = false;
var was_restored = false;

fn eql(text: []const u8, other: []const u8) bool {
    return std.mem.eql(u8, text, other);
}

fn shown(text: ?[]const u8) []const u8 {
    return text orelse "-";
}

/// What came of something that has no value, or a number that is shown.
fn nameOf(result: anytype) []const u8 {
    if (result) |value| {
        return if (@TypeOf(value) == u32) format("ok {d}", .{value}) else "ok";
    } else |err| return errorName(err);
}

fn errorName(err: anyerror) []const u8 {
    return switch (err) {
        error.Closed => "closed",
        error.QueueFull => "queue-full",
        error.TooLarge => format("too-large {d}", .{wsrun.errorNumber()}),
        error.InvalidText => "invalid-text",
        error.WrongKind => "wrong-kind",
        error.InvalidName => "invalid-name",
        error.Denied => format("denied {}", .{wsrun.errorText().len > 0}),
        error.Invalid => format("invalid {}", .{wsrun.errorText().len > 0}),
        error.UnsupportedVersion => "unsupported-version false",
        else => @errorName(err),
    };
}

fn tell(line: []const u8) void {
    _ = wsrun.topics.publish("clients", .{ .text = line }, .{}) catch {};
}

fn isClient(connection: wsrun.Connection) bool {
    const request = connection.request() orelse return false;
    return request.role == .client;
}

pub fn handshake(request: wsrun.Request) !wsrun.Handshake {
    const headers = try wsrun.scratch.alloc(wsrun.Header, 1);
    if (eql(request.path, "/refuse")) {
        headers[0] = .init("x-why", "because");
        return .{ .refuse = .{ .status = 418, .headers = headers, .body = "no" } };
    }
    headers[0] = .init("x-sdk", "yes");
    const offered = request.offered;
    return .{ .accept = .{
        .protocol = if (offered.len > 0) offered[offered.len - 1] else null,
        .headers = headers,
        .session = request.queryValue("name") orelse "",
    } };
}

pub fn opened(connection: wsrun.Connection) !void {
    if (!isClient(connection)) return connection.sendText("opened server");
    const response = connection.response().?;
    tell(format("out opened {s} {s} {d} {}", .{ shown(connection.protocol()), connection.session(), response.status, response.headers.len > 2 }));
    if (eql(connection.session(), "again")) try connection.sendText("abort");
}

fn connectTo(path: []const u8, again: bool, version: ?u8) []const u8 {
    const url = format("{s}{s}", .{ wsrun.config("url").?, path });
    return nameOf(wsrun.connect(url, .{
        .protocols = &.{ "one", "two" },
        .origin = "http://origin.example",
        .headers = &.{.init("x-test", "sent")},
        .version = version,
        .compression = true,
        .timeout_ms = 5000,
        .reconnect = if (again) .{ .attempts_max = 3, .delay_ms = 20 } else null,
        .session = if (again) "again" else "once",
    }));
}

const large: [3 << 20]u8 = @splat(0);

const Command = enum { request, protocol, session, keep, sub, unsub, @"pub", pubx, cast, castp, slow, timer, timer0, cancel, ping, pong, parts, wrong, invalid, large, full, writable, unknown, auto, unauto, host, connect, reconnect, refused, version, @"connect-to", life, close, abort };

fn cut(text: []const u8) struct { []const u8, []const u8 } {
    const at = std.mem.indexOfScalar(u8, text, ' ') orelse text.len;
    return .{ text[0..at], text[@min(at + 1, text.len)..] };
}

fn answer(connection: wsrun.Connection, message: []const u8) ?[]const u8 {
    const name, const rest = cut(message);
    const first, const second = cut(rest);
    switch (std.meta.stringToEnum(Command, name) orelse return "unknown command") {
        .request => {
            const r = connection.request() orelse return "unknown";
            return format("{s} {s} {s} {s} {d} {} {s}", .{ @tagName(r.role), r.path, shown(r.query), shown(r.header("x-test")), r.offered.len, r.secure, shown(r.host) });
        },
        .protocol => return shown(connection.protocol()),
        .session => return connection.session(),
        .keep => return nameOf(connection.setSession(rest)),
        .sub => return nameOf(connection.subscribe(rest)),
        .unsub => return format("{}", .{connection.unsubscribe(rest)}),
        .@"pub" => return nameOf(wsrun.topics.publish(first, .{ .text = second }, .{})),
        .pubx => return nameOf(wsrun.topics.publish(first, .{ .text = second }, .{ .except = connection })),
        .cast => return nameOf(wsrun.topics.broadcast(.{ .text = rest }, .{})),
        .castp => return nameOf(wsrun.topics.broadcast(.{ .text = second }, .{ .protocol = first })),
        .slow => {
            connection.setSlowPolicy(.{ .disconnect = 4001 });
            connection.setSlowPolicy(null);
            wsrun.topics.setSlowPolicy("slow", .latest_only);
            connection.receiveFlow(true);
            return format("{d} {d}", .{ connection.dropped(), wsrun.topics.dropped("slow") });
        },
        .timer => return nameOf(connection.setTimer(1, 1 << 40)),
        .timer0 => return nameOf(wsrun.Timer.set(1, 8)),
        .cancel => {
            const set = connection.setTimer(60_000, 9) catch |err| return errorName(err);
            const once = set.cancel();
            return format("{} {}", .{ once, set.cancel() });
        },
        .ping => return nameOf(connection.ping(rest)),
        .pong => return nameOf(connection.pong(rest)),
        .parts => {
            connection.sendChunk(.text, "ab", false) catch |err| return errorName(err);
            return nameOf(connection.sendChunk(.text, "cd", true));
        },
        .wrong => {
            connection.sendChunk(.text, "a", false) catch |err| return errorName(err);
            const result = nameOf(connection.sendChunk(.binary, "b", true));
            connection.sendChunk(.text, &.{}, true) catch |err| return errorName(err);
            return result;
        },
        .invalid => return nameOf(connection.sendChunk(.text, "\xff", true)),
        .large => return nameOf(connection.sendBinary(&large)),
        .full => {
            while (connection.sendBinary(large[0 .. 1 << 16])) {} else |err| {
                connection.wantWritable();
                return if (err == error.QueueFull and wsrun.errorNumber() == connection.buffered()) null else "wrong";
            }
        },
        .writable => {
            wsrun.wantWritableAll(if (rest.len > 0) rest else null);
            return null;
        },
        .unknown => return nameOf(wsrun.Connection.fromId(999).sendText("x")),
        .auto => return nameOf(wsrun.setAutoReply(.{ .text = "beat?" }, .{ .text = "beat!" })),
        .unauto => return nameOf(wsrun.setAutoReply(.{ .text = "beat?" }, null)),
        .host => return format("{s} {s} {s} {d} {}", .{ wsrun.handlerName(), shown(wsrun.config("key")), shown(wsrun.config("none")), wsrun.connectionCount(), wsrun.hostname().len > 0 }),
        .connect => return connectTo("/?name=out", false, null),
        .reconnect => return connectTo("/?name=out", true, null),
        .refused => return connectTo("/refuse", false, null),
        .version => return connectTo("/", false, 9),
        .@"connect-to" => return nameOf(wsrun.connect(rest, .{})),
        .life => return format("{} {} {d} {d}", .{ was_started, was_restored, resumed_count, messages }),
        .close => {
            connection.close(4001, "bye");
            return null;
        },
        .abort => {
            connection.abort();
            return null;
        },
    }
}

pub fn received(connection: wsrun.Connection, message: wsrun.Message) !void {
    messages += 1;
    if (isClient(connection)) {
        tell(format("out got {s}", .{message.bytes()}));
        if (!eql(connection.session(), "again")) connection.close(wsrun.close_code.normal, "");
        return;
    }
    switch (message) {
        .binary => |data| try connection.sendBinary(data),
        .text => |text| if (answer(connection, text)) |reply| try connection.sendText(reply),
    }
}

pub fn closed(connection: wsrun.Connection, info: wsrun.CloseInfo) void {
    if (connection.failure()) |failure| switch (failure) {
        .refused => |status| return tell(format("out refused {d}", .{status})),
        else => {},
    };
    tell(format("closed {d} {s} {s} {}", .{ info.code, if (info.reason.len > 0) info.reason else "-", @tagName(info.by), info.clean }));
}

pub fn lost(_: wsrun.Connection, info: wsrun.CloseInfo, attempt: u32, after_ms: u32) void {
    tell(format("lost {d} {d} {}", .{ info.code, attempt, after_ms <= 20 }));
}

pub fn restored(connection: wsrun.Connection) void {
    tell("restored");
    connection.close(wsrun.close_code.normal, "");
}

pub fn writable(connection: wsrun.Connection) !void {
    try connection.sendText("writable");
}

pub fn wanted(connection: wsrun.Connection, _: wsrun.Message) bool {
    return !eql(connection.session(), "deaf");
}

pub fn accepts(peer: []const u8, local: []const u8) bool {
    return !std.mem.startsWith(u8, peer, "127.0.0.2:") and local.len > 0;
}

pub fn http(request: wsrun.HttpRequest) !wsrun.HttpResponse {
    if (eql(request.request.path, "/file")) return .file("file.txt");
    const headers = try wsrun.scratch.alloc(wsrun.Header, 1);
    headers[0] = .init("x-method", request.method);
    return .{ .status = 201, .headers = headers, .body = .{
        .bytes = format("{s} {s} {d}", .{ request.request.path, shown(request.request.queryValue("a b")), request.body.len }),
    } };
}

pub fn pong(connection: wsrun.Connection, payload: []const u8) !void {
    try connection.sendText(format("pong {s}", .{payload}));
}

pub fn timer(_: wsrun.Timer, tag: u64, connection: ?wsrun.Connection) !void {
    const line = format("timer {d}", .{tag});
    if (connection) |of| try of.sendText(line) else tell(line);
}

pub fn started() void {
    was_started = true;
}

pub fn resumed(_: wsrun.Connection) void {
    resumed_count += 1;
}

pub fn save() []const u8 {
    return format("{d}", .{messages});
}

pub fn restore(state: []const u8) !void {
    messages = try std.fmt.parseInt(u32, state, 10);
    was_restored = true;
}

pub fn draining(deadline_ms: u32) void {
    tell(format("draining {}", .{deadline_ms > 0}));
}
