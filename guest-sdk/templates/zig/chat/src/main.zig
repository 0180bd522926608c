//! Rooms in which people with names talk to each other.
//!
//! A room is a topic: the host delivers what is said. Who sits where is session data, which the host keeps too, so that people stay in their
//! rooms when the handler traps; the lists of who is there are rebuilt from it.

const std = @import("std");
const wsrun = @import("wsrun");
const protocol = @import("protocol.zig");
const json = protocol.json;

comptime {
    wsrun.handler(@This());
}

pub const panic = wsrun.panic;

/// For what outlives a callback.
const gpa = std.heap.wasm_allocator;

/// Where a connection is and under which name. As session data: the name, a line feed, the room.
const Seat = struct { name: []const u8, room: []const u8 };

/// Somebody in a room. They are sorted by name.
const Person = struct { name: []const u8, connection: wsrun.Connection };

const People = std.ArrayList(Person);

/// A room is there while somebody is in it.
var rooms: std.StringHashMapUnmanaged(People) = .empty;

pub fn received(connection: wsrun.Connection, message: wsrun.Message) !void {
    const seat = try seatOf(connection);
    const wrong = switch (message) {
        .binary => "this chat is made of text",
        .text => |text| switch (protocol.parse(text)) {
            .wrong => |why| why,
            .request => |request| switch (request) {
                .join => |to| try join(connection, seat, .{ .name = to.name, .room = to.room }),
                .say => |text_said| say(seat, text_said),
                .leave => null: {
                    if (seat) |from| leave(connection, from);
                    break :null null;
                },
            },
        },
    };
    if (wrong) |why| reply(connection, wsrun.format("{{\"type\":\"error\",\"message\":{f}}}", .{json(why)}));
}

/// This instance has taken over: it learns who is there.
pub fn resumed(connection: wsrun.Connection) !void {
    _ = try seatOf(connection);
}

pub fn closed(connection: wsrun.Connection, _: wsrun.CloseInfo) !void {
    if (try seatOf(connection)) |seat| leave(connection, seat);
}

/// The seat of a connection. An instance that is new puts it into the list of its room.
fn seatOf(connection: wsrun.Connection) !?Seat {
    const session = connection.session();
    const line = std.mem.indexOfScalar(u8, session, '\n') orelse return null;
    const seat: Seat = .{ .name = session[0..line], .room = session[line + 1 ..] };
    try add(seat, connection);
    return seat;
}

fn add(seat: Seat, connection: wsrun.Connection) !void {
    const room = try rooms.getOrPut(gpa, seat.room);
    if (!room.found_existing) {
        room.key_ptr.* = try gpa.dupe(u8, seat.room);
        room.value_ptr.* = .empty;
    }
    const at = position(room.value_ptr.items, seat.name);
    if (at.found) return;
    try room.value_ptr.insert(gpa, at.index, .{ .name = try gpa.dupe(u8, seat.name), .connection = connection });
}

/// Where somebody of this name is, or would be.
fn position(people: []const Person, name: []const u8) struct { index: usize, found: bool } {
    for (people, 0..) |person, index| {
        switch (std.mem.order(u8, name, person.name)) {
            .gt => {},
            .eq => return .{ .index = index, .found = true },
            .lt => return .{ .index = index, .found = false },
        }
    }
    return .{ .index = people.len, .found = false };
}

fn remove(seat: Seat, connection: wsrun.Connection) void {
    const room = rooms.getEntry(seat.room) orelse return;
    const people = room.value_ptr;
    const at = position(people.items, seat.name);
    if (at.found and people.items[at.index].connection == connection) {
        gpa.free(people.orderedRemove(at.index).name);
    }
    if (people.items.len > 0) return;
    people.deinit(gpa);
    const name = room.key_ptr.*;
    rooms.removeByPtr(room.key_ptr);
    gpa.free(name);
}

fn join(connection: wsrun.Connection, old: ?Seat, new: Seat) !?[]const u8 {
    if (rooms.get(new.room)) |people| {
        const at = position(people.items, new.name);
        if (at.found and people.items[at.index].connection != connection) return "somebody in this room has that name";
    }
    if (old) |seat| leave(connection, seat);
    _ = connection.subscribe(new.room) catch return "there are too many rooms: try again later";
    connection.setSession(wsrun.format("{s}\n{s}", .{ new.name, new.room })) catch return "the connection is closing";

    try add(new, connection);
    const joined = wsrun.format("{{\"type\":\"joined\",\"name\":{f}}}", .{json(new.name)});
    // That it fails takes a queue smaller than an event. Who is there is told to each who joins anyway.
    _ = wsrun.topics.publish(new.room, .{ .text = joined }, .{ .except = connection }) catch {};
    const people = rooms.get(new.room).?;
    var who: []const u8 = "";
    for (people.items) |person| {
        who = wsrun.format("{s}{s}{f}", .{ who, if (who.len == 0) "" else ",", json(person.name) });
    }
    reply(connection, wsrun.format("{{\"type\":\"welcome\",\"name\":{f},\"room\":{f},\"who\":[{s}]}}", .{ json(new.name), json(new.room), who }));
    return null;
}

fn leave(connection: wsrun.Connection, seat: Seat) void {
    remove(seat, connection);
    _ = connection.unsubscribe(seat.room);
    // The connection may be gone already, and its session data with it.
    connection.setSession("") catch {};
    const left = wsrun.format("{{\"type\":\"left\",\"name\":{f}}}", .{json(seat.name)});
    _ = wsrun.topics.publish(seat.room, .{ .text = left }, .{}) catch {};
}

fn say(seat: ?Seat, text: []const u8) ?[]const u8 {
    const from = seat orelse return "join a room first";
    const said = wsrun.format("{{\"type\":\"said\",\"name\":{f},\"text\":{f}}}", .{ json(from.name), json(text) });
    _ = wsrun.topics.publish(from.room, .{ .text = said }, .{}) catch return "nobody heard that: try again later";
    return null;
}

fn reply(connection: wsrun.Connection, event: []const u8) void {
    connection.sendText(event) catch |err| connection.close(wsrun.close_code.policy_violation, @errorName(err));
}
