//! Sends back what it receives.

const wsrun = @import("wsrun");

comptime {
    wsrun.handler(@This());
}

pub const panic = wsrun.panic;

pub fn received(connection: wsrun.Connection, message: wsrun.Message) !void {
    try connection.send(message);
}
