//! See README.md.

const wsrun = @import("wsrun");

comptime {
    wsrun.handler(@This());
}

pub const panic = wsrun.panic;

pub fn chunk(connection: wsrun.Connection, part: wsrun.Chunk) !void {
    try connection.sendText(wsrun.format("{s} {d} {d} {d} {d}", .{
        @tagName(part.kind), part.data.len, @intFromBool(part.first), @intFromBool(part.last), part.remaining,
    }));
}
