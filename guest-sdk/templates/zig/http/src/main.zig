//! A page, an API and the sockets that they speak of, from one handler.

const std = @import("std");
const wsrun = @import("wsrun");

comptime {
    wsrun.handler(@This());
}

pub const panic = wsrun.panic;

/// What one says goes to everybody.
pub fn received(connection: wsrun.Connection, message: wsrun.Message) !void {
    _ = wsrun.topics.broadcast(message, .{}) catch |err| try connection.sendText(@errorName(err));
}

pub fn http(request: wsrun.HttpRequest) wsrun.HttpResponse {
    if (is(request.method, "GET") or is(request.method, "HEAD")) {
        if (is(request.request.path, "/")) return .html(@embedFile("page.html"));
        if (is(request.request.path, "/api/count")) {
            return .json(wsrun.format("{{\"connections\":{d}}}", .{wsrun.connectionCount()}));
        }
    }
    return wsrun.HttpResponse.text("there is nothing here\n").withStatus(404);
}

fn is(text: []const u8, other: []const u8) bool {
    return std.mem.eql(u8, text, other);
}
