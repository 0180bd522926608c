//! The messages: one JSON object per text message.

const std = @import("std");
const wsrun = @import("wsrun");

const name_chars_max = 24;
const room_bytes_max = 32;
const text_chars_max = 1000;

/// What a client sends, with its texts tidied.
pub const Request = union(enum) {
    join: struct { name: []const u8, room: []const u8 },
    say: []const u8,
    leave,
};

/// A request, or an error for the sender to read.
pub const Parsed = union(enum) { request: Request, wrong: []const u8 };

const usage: Parsed = .{ .wrong = "send {\"type\":\"join\",\"name\":…,\"room\":…}, {\"type\":\"say\",\"text\":…} or {\"type\":\"leave\"}" };

const Fields = struct {
    type: ?[]const u8 = null,
    name: ?[]const u8 = null,
    room: ?[]const u8 = null,
    text: ?[]const u8 = null,
};

pub fn parse(message: []const u8) Parsed {
    const fields = parseObject(message) catch return usage;
    const kind = fields.type orelse return usage;
    const eql = std.mem.eql;
    if (eql(u8, kind, "join") and fields.text == null) {
        const name = switch (validName(fields.name orelse return usage)) {
            .ok => |name| if (fields.room == null) return usage else name,
            .wrong => |why| return if (fields.room == null) usage else .{ .wrong = why },
        };
        return switch (validRoom(fields.room.?)) {
            .ok => |room| .{ .request = .{ .join = .{ .name = name, .room = room } } },
            .wrong => |why| .{ .wrong = why },
        };
    }
    if (fields.name != null or fields.room != null) return usage;
    if (eql(u8, kind, "say")) {
        return switch (validText(fields.text orelse return usage)) {
            .ok => |text| .{ .request = .{ .say = text } },
            .wrong => |why| .{ .wrong = why },
        };
    }
    if (eql(u8, kind, "leave") and fields.text == null) return .{ .request = .leave };
    return usage;
}

/// An object of strings, whose names are those of the fields and differ.
fn parseObject(message: []const u8) !Fields {
    var scanner = std.json.Scanner.initCompleteInput(wsrun.scratch, message);
    var fields: Fields = .{};
    if (try scanner.next() != .object_begin) return error.Unexpected;
    while (true) {
        const name = switch (try scanner.nextAlloc(wsrun.scratch, .alloc_always)) {
            .allocated_string => |name| name,
            .object_end => break,
            else => return error.Unexpected,
        };
        const text = switch (try scanner.nextAlloc(wsrun.scratch, .alloc_always)) {
            .allocated_string => |given| given,
            else => return error.Unexpected,
        };
        const known = std.meta.stringToEnum(enum { type, name, room, text }, name) orelse return error.Unexpected;
        const field = switch (known) {
            .type => &fields.type,
            .name => &fields.name,
            .room => &fields.room,
            .text => &fields.text,
        };
        if (field.* != null) return error.Unexpected;
        field.* = text;
    }
    if (try scanner.next() != .end_of_document) return error.Unexpected;
    return fields;
}

const Valid = union(enum) { ok: []const u8, wrong: []const u8 };

/// Runs of white space become one space.
fn validName(name: []const u8) Valid {
    const out = wsrun.scratch.alloc(u8, name.len) catch @panic("out of memory");
    var used: usize = 0;
    var chars: usize = 0;
    var gap = false;
    var invisible = false;
    var at = std.unicode.Utf8View.initUnchecked(name).iterator();
    while (at.nextCodepointSlice()) |bytes| {
        const char = std.unicode.utf8Decode(bytes) catch unreachable;
        if (isSpace(char)) {
            gap = used > 0;
            continue;
        }
        if (gap) {
            out[used] = ' ';
            used += 1;
            chars += 1;
        }
        gap = false;
        @memcpy(out[used..][0..bytes.len], bytes);
        used += bytes.len;
        chars += 1;
        invisible = invisible or isInvisible(char);
    }
    if (chars == 0) return .{ .wrong = "choose a name" };
    if (chars > name_chars_max) return .{ .wrong = "a name has at most 24 characters" };
    if (invisible) return .{ .wrong = "a name is made of visible characters" };
    return .{ .ok = out[0..used] };
}

fn validRoom(room: []const u8) Valid {
    const wrong: Valid = .{ .wrong = "a room is named by 1 to 32 letters, digits and hyphens" };
    const trim = trimmed(room);
    if (trim.len < 1 or trim.len > room_bytes_max) return wrong;
    const out = std.ascii.allocLowerString(wsrun.scratch, trim) catch @panic("out of memory");
    for (out) |char| {
        if (!std.ascii.isAlphanumeric(char) and char != '-') return wrong;
    }
    return .{ .ok = out };
}

fn validText(text: []const u8) Valid {
    const trim = trimmed(text);
    const chars = std.unicode.utf8CountCodepoints(trim) catch unreachable;
    if (chars == 0) return .{ .wrong = "there is nothing to say" };
    if (chars > text_chars_max) return .{ .wrong = "a text has at most 1000 characters" };
    return .{ .ok = trim };
}

fn trimmed(text: []const u8) []const u8 {
    var begin: ?usize = null;
    var end: usize = 0;
    var at = std.unicode.Utf8View.initUnchecked(text).iterator();
    while (at.nextCodepointSlice()) |bytes| {
        const char = std.unicode.utf8Decode(bytes) catch unreachable;
        if (isSpace(char)) continue;
        if (begin == null) begin = at.i - bytes.len;
        end = at.i;
    }
    return text[begin orelse 0 .. end];
}

fn isSpace(char: u21) bool {
    return switch (char) {
        0x9...0xd, 0x20, 0x85, 0xa0, 0x1680, 0x2000...0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000 => true,
        else => false,
    };
}

/// Control characters, and those that reorder or hide the text around them: a name is shown beside other people's words.
fn isInvisible(char: u21) bool {
    return switch (char) {
        0...0x1f, 0x7f...0x9f, 0x200b...0x200f, 0x2028...0x202e, 0x2060...0x206f, 0xfeff => true,
        else => false,
    };
}

/// A text of JSON, as a value of `{f}`.
pub const Json = struct {
    text: []const u8,

    pub fn format(value: Json, out: *std.Io.Writer) std.Io.Writer.Error!void {
        try out.writeByte('"');
        for (value.text) |char| {
            switch (char) {
                '"', '\\' => try out.print("\\{c}", .{char}),
                0x8 => try out.writeAll("\\b"),
                0xc => try out.writeAll("\\f"),
                '\n' => try out.writeAll("\\n"),
                '\r' => try out.writeAll("\\r"),
                '\t' => try out.writeAll("\\t"),
                0...0x7, 0xb, 0xe...0x1f => try out.print("\\u{x:0>4}", .{char}),
                else => try out.writeByte(char),
            }
        }
        try out.writeByte('"');
    }
};

pub fn json(text: []const u8) Json {
    return .{ .text = text };
}
