//! Connects out: what comes from the server at `--config url=ws://...` goes to everybody who is connected here, and what they say goes to it.

const wsrun = @import("wsrun");

comptime {
    wsrun.handler(@This());
}

pub const panic = wsrun.panic;

/// Everybody who is connected here.
const listeners = "listeners";

/// The connection to the server, while it is open. The host keeps topics when it lets an instance go: one that has just been made reaches the
/// server by this name before it is told of the connection.
const server = "server";

/// The connection to the server, as soon as it is known; the host makes it anew when it is lost.
var upstream: ?wsrun.Connection = null;

fn isUpstream(connection: wsrun.Connection) bool {
    const request = connection.request() orelse return false;
    return request.role == .client;
}

pub fn started() void {
    const url = wsrun.config("url") orelse return wsrun.log("say where to connect to: --config url=ws://...", .{});
    // Who speaks is told when there is no room for it.
    wsrun.topics.setSlowPolicy(server, .wait);
    upstream = wsrun.connect(url, .{ .reconnect = .{} }) catch |err|
        return wsrun.log("not connected: {s} {s}", .{ @errorName(err), wsrun.errorText() });
}

/// This instance has taken over from another, whose connection to the server goes on: one is enough.
pub fn resumed(connection: wsrun.Connection) void {
    if (!isUpstream(connection)) return;
    if (upstream) |own| own.close(wsrun.close_code.normal, "");
    upstream = connection;
}

pub fn opened(connection: wsrun.Connection) !void {
    _ = try connection.subscribe(if (isUpstream(connection)) server else listeners);
}

pub fn received(connection: wsrun.Connection, message: wsrun.Message) !void {
    if (isUpstream(connection)) {
        _ = try wsrun.topics.publish(listeners, message, .{});
    } else {
        const receivers = wsrun.topics.publish(server, message, .{}) catch 0;
        if (receivers == 0) try connection.sendText("the server is away: try again later");
    }
}

pub fn lost(connection: wsrun.Connection, info: wsrun.CloseInfo, attempt: u32, after_ms: u32) void {
    _ = connection.unsubscribe(server);
    wsrun.log("lost the server ({d}): attempt {d} in {d} ms", .{ info.code, attempt, after_ms });
}

pub fn restored(connection: wsrun.Connection) !void {
    _ = try connection.subscribe(server);
}

pub fn closed(connection: wsrun.Connection, _: wsrun.CloseInfo) void {
    if (connection.failure()) |failure| wsrun.log("not connected: {s}", .{failure.text()});
    if (connection == upstream) upstream = null;
}
