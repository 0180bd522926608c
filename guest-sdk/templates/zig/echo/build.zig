const std = @import("std");
const wsrun = @import("wsrun");

pub fn build(b: *std.Build) void {
    wsrun.addHandler(b, .{ .name = "{{name}}", .root_source_file = b.path("src/main.zig") });
}
