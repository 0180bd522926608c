#include "protocol.h"

#include <string.h>

enum { NAME_CHARS_MAX = 24, ROOM_BYTES_MAX = 32, TEXT_CHARS_MAX = 1000 };

static const char usage[] =
    "send {\"type\":\"join\",\"name\":…,\"room\":…}, {\"type\":\"say\",\"text\":…} or {\"type\":\"leave\"}";

/* ------------------------------------------------------------------- JSON */

typedef struct reader {
    const char *at;
    const char *end;
} reader;

static void skip_space(reader *in) {
    while (in->at < in->end && memchr(" \t\r\n", *in->at, 4)) in->at++;
}

static bool take(reader *in, char expected) {
    skip_space(in);
    if (in->at == in->end || *in->at != expected) return false;
    in->at++;
    return true;
}

/* The four digits of \uXXXX, or -1. */
static long hex4(reader *in) {
    long value = 0;
    for (int digit = 0; digit < 4; digit++) {
        if (in->at == in->end) return -1;
        char c = *in->at++;
        int bits = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (bits < 0) return -1;
        value = value * 16 + bits;
    }
    return value;
}

static char *put_utf8(char *out, unsigned long c) {
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3f));
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    }
    return out;
}

static bool read_string(reader *in, wsrun_string *value) {
    if (!take(in, '"')) return false;
    /* No escape is longer than what it stands for. */
    char *begin = wsrun_alloc((size_t)(in->end - in->at) + 1);
    char *out = begin;
    while (in->at < in->end) {
        char c = *in->at++;
        if (c == '"') {
            *value = (wsrun_string){begin, (size_t)(out - begin)};
            return true;
        }
        if ((unsigned char)c < 0x20) return false;
        if (c != '\\') {
            *out++ = c;
            continue;
        }
        if (in->at == in->end) return false;
        switch (*in->at++) {
        case '"': *out++ = '"'; break;
        case '\\': *out++ = '\\'; break;
        case '/': *out++ = '/'; break;
        case 'b': *out++ = '\b'; break;
        case 'f': *out++ = '\f'; break;
        case 'n': *out++ = '\n'; break;
        case 'r': *out++ = '\r'; break;
        case 't': *out++ = '\t'; break;
        case 'u': {
            long unit = hex4(in);
            if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff)) return false;
            if (unit >= 0xd800 && unit <= 0xdbff) {
                if (in->end - in->at < 2 || in->at[0] != '\\' || in->at[1] != 'u') return false;
                in->at += 2;
                long low = hex4(in);
                if (low < 0xdc00 || low > 0xdfff) return false;
                unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            }
            out = put_utf8(out, (unsigned long)unit);
            break;
        }
        default: return false;
        }
    }
    return false;
}

void append(text *text, const char *literal) {
    size_t size = strlen(literal);
    if (text->size + size + 1 > text->room) {
        size_t room = 2 * (text->size + size) + 64;
        char *data = wsrun_alloc(room);
        if (text->size) memcpy(data, text->data, text->size);
        text->data = data;
        text->room = room;
    }
    memcpy(text->data + text->size, literal, size + 1);
    text->size += size;
}

void append_json(text *text, wsrun_string value) {
    static const char digits[] = "0123456789abcdef";
    append(text, "\"");
    for (size_t index = 0; index < value.size; index++) {
        char c = value.data[index];
        char part[8] = {c};
        switch (c) {
        case '"': strcpy(part, "\\\""); break;
        case '\\': strcpy(part, "\\\\"); break;
        case '\b': strcpy(part, "\\b"); break;
        case '\f': strcpy(part, "\\f"); break;
        case '\n': strcpy(part, "\\n"); break;
        case '\r': strcpy(part, "\\r"); break;
        case '\t': strcpy(part, "\\t"); break;
        default:
            if ((unsigned char)c < 0x20) {
                memcpy(part, "\\u00", 4);
                part[4] = digits[c >> 4];
                part[5] = digits[c & 15];
            }
        }
        append(text, part);
    }
    append(text, "\"");
}

/* ------------------------------------------------------------- characters */

/* The next character of a valid text. */
static unsigned long next_char(const char **at) {
    const unsigned char *byte = (const unsigned char *)*at;
    int more = byte[0] < 0x80 ? 0 : byte[0] < 0xe0 ? 1 : byte[0] < 0xf0 ? 2 : 3;
    unsigned long c = more == 0 ? byte[0] : byte[0] & (0x3fu >> more);
    for (int index = 1; index <= more; index++) c = c << 6 | (byte[index] & 0x3f);
    *at += more + 1;
    return c;
}

static bool is_space(unsigned long c) {
    return (c >= 0x9 && c <= 0xd) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Control characters, and those that reorder or hide the text around them: a name is shown beside other people's words. */
static bool is_invisible(unsigned long c) {
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

static wsrun_string trimmed(wsrun_string value, size_t *chars) {
    const char *begin = NULL, *end = NULL;
    const char *at = value.data;
    size_t seen = 0;
    *chars = 0;
    while (at < value.data + value.size) {
        const char *here = at;
        unsigned long c = next_char(&at);
        if (begin) seen++;
        if (is_space(c)) continue;
        if (!begin) {
            begin = here;
            seen = 1;
        }
        end = at;
        *chars = seen;
    }
    return begin ? (wsrun_string){begin, (size_t)(end - begin)} : (wsrun_string){value.data, 0};
}

/* Runs of white space become one space. */
static const char *tidy_name(wsrun_string *name) {
    char *out = wsrun_alloc(name->size + 1);
    size_t size = 0, chars = 0;
    bool gap = false, invisible = false;
    const char *at = name->data;
    while (at < name->data + name->size) {
        const char *here = at;
        unsigned long c = next_char(&at);
        if (is_space(c)) {
            gap = size > 0;
            continue;
        }
        if (gap) {
            out[size++] = ' ';
            chars++;
        }
        gap = false;
        memcpy(out + size, here, (size_t)(at - here));
        size += (size_t)(at - here);
        chars++;
        if (is_invisible(c)) invisible = true;
    }
    *name = (wsrun_string){out, size};
    if (chars == 0) return "choose a name";
    if (chars > NAME_CHARS_MAX) return "a name has at most 24 characters";
    return invisible ? "a name is made of visible characters" : NULL;
}

static const char *tidy_room(wsrun_string *room) {
    static const char error[] = "a room is named by 1 to 32 letters, digits and hyphens";
    size_t chars;
    wsrun_string trim = trimmed(*room, &chars);
    if (trim.size < 1 || trim.size > ROOM_BYTES_MAX) return error;
    char *out = wsrun_alloc(trim.size + 1);
    for (size_t index = 0; index < trim.size; index++) {
        char c = trim.data[index];
        if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) return error;
        out[index] = c;
    }
    *room = (wsrun_string){out, trim.size};
    return NULL;
}

static const char *tidy_text(wsrun_string *text) {
    size_t chars;
    *text = trimmed(*text, &chars);
    if (chars == 0) return "there is nothing to say";
    return chars > TEXT_CHARS_MAX ? "a text has at most 1000 characters" : NULL;
}

/* --------------------------------------------------------------- requests */

/* An object of strings, each of these names at most once and no others. */
static bool read_object(wsrun_message message, const char *const names[], wsrun_string *const values[], size_t count) {
    reader in = {message.data, message.data + message.size};
    if (!take(&in, '{')) return false;
    if (!take(&in, '}')) {
        do {
            wsrun_string name, value;
            if (!read_string(&in, &name) || !take(&in, ':') || !read_string(&in, &value)) return false;
            size_t index = 0;
            while (index < count && !wsrun_equals(name, names[index])) index++;
            if (index == count || values[index]->data) return false;
            *values[index] = value;
        } while (take(&in, ','));
        if (!take(&in, '}')) return false;
    }
    skip_space(&in);
    return in.at == in.end;
}

const char *parse_request(wsrun_message message, request *request) {
    if (message.kind != WSRUN_TEXT) return "this chat is made of text";
    wsrun_string type = {0};
    *request = (struct request){0};
    static const char *const names[] = {"type", "name", "room", "text"};
    wsrun_string *const values[] = {&type, &request->name, &request->room, &request->text};
    if (!read_object(message, names, values, 4)) return usage;
    bool name = request->name.data, room = request->room.data, text = request->text.data;
    const char *error;
    if (wsrun_equals(type, "join") && name && room && !text) {
        request->kind = JOIN;
        if ((error = tidy_name(&request->name))) return error;
        return tidy_room(&request->room);
    }
    if (wsrun_equals(type, "say") && text && !name && !room) {
        request->kind = SAY;
        return tidy_text(&request->text);
    }
    if (wsrun_equals(type, "leave") && !name && !room && !text) {
        request->kind = LEAVE;
        return NULL;
    }
    return usage;
}
