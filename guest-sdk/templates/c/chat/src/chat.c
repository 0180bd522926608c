/* Rooms in which people with names talk to each other.
 *
 * A room is a topic: the host delivers what is said. Who sits where is session data, which the host keeps too, so that people stay in their
 * rooms when the handler traps; the lists of who is there are rebuilt from it. */

#include <stdlib.h>
#include <string.h>

#include "protocol.h"

/* Where a connection is and under which name. As session data: the name, a line feed, the room. */
typedef struct seat {
    wsrun_string name;
    wsrun_string room;
} seat;

/* Somebody in a room. They are sorted by name. */
typedef struct person {
    struct person *next;
    wsrun_connection connection;
    size_t size;
    char name[];
} person;

/* A room is there while somebody is in it. */
typedef struct room {
    struct room *next;
    person *people;
    size_t size;
    char name[];
} room;

static room *rooms;

static int compare(wsrun_string left, const char *right, size_t size) {
    int order = memcmp(left.data, right, left.size < size ? left.size : size);
    return order ? order : (left.size > size) - (left.size < size);
}

static room *find_room(wsrun_string name, bool make) {
    for (room *at = rooms; at; at = at->next) {
        if (compare(name, at->name, at->size) == 0) return at;
    }
    if (!make) return NULL;
    room *new = malloc(sizeof *new + name.size);
    if (!new) abort();
    *new = (room){.next = rooms, .size = name.size};
    memcpy(new->name, name.data, name.size);
    return rooms = new;
}

/* Where somebody of this name is, or would be. */
static person **find_person(room *room, wsrun_string name, bool *found) {
    person **at = &room->people;
    int order = 1;
    while (*at && (order = compare(name, (*at)->name, (*at)->size)) > 0) at = &(*at)->next;
    *found = *at && order == 0;
    return at;
}

static void add_person(room *room, wsrun_string name, wsrun_connection connection) {
    bool found;
    person **at = find_person(room, name, &found);
    if (found) return;
    person *new = malloc(sizeof *new + name.size);
    if (!new) abort();
    *new = (person){.next = *at, .connection = connection, .size = name.size};
    memcpy(new->name, name.data, name.size);
    *at = new;
}

static void remove_person(wsrun_string room_name, wsrun_string name, wsrun_connection connection) {
    room *gone = find_room(room_name, false);
    if (!gone) return;
    bool found;
    person **at = find_person(gone, name, &found);
    if (found && (*at)->connection == connection) {
        person *left = *at;
        *at = left->next;
        free(left);
    }
    if (gone->people) return;
    for (room **link = &rooms; *link; link = &(*link)->next) {
        if (*link != gone) continue;
        *link = gone->next;
        free(gone);
        return;
    }
}

/* The seat of a connection. An instance that is new puts it into the list of its room. */
static bool seat_of(wsrun_connection connection, seat *seat) {
    wsrun_string session = wsrun_session(connection);
    const char *line = session.size ? memchr(session.data, '\n', session.size) : NULL;
    if (!line) return false;
    seat->name = (wsrun_string){session.data, (size_t)(line - session.data)};
    seat->room = (wsrun_string){line + 1, session.size - seat->name.size - 1};
    add_person(find_room(seat->room, true), seat->name, connection);
    return true;
}

static wsrun_message message_of(const text *text) {
    return (wsrun_message){WSRUN_TEXT, text->data, text->size};
}

static void reply(wsrun_connection connection, const text *event) {
    wsrun_status status = wsrun_send(connection, message_of(event));
    if (status != WSRUN_OK) wsrun_close(connection, WSRUN_CLOSE_POLICY_VIOLATION, wsrun_status_text(status));
}

/* {"type":TYPE,"name":NAME} */
static text event_of(const char *type, wsrun_string name) {
    text event = {0};
    append(&event, "{\"type\":\"");
    append(&event, type);
    append(&event, "\",\"name\":");
    append_json(&event, name);
    return event;
}

static void leave(wsrun_connection connection, const seat *seat) {
    remove_person(seat->room, seat->name, connection);
    wsrun_unsubscribe(connection, seat->room.data);
    /* The connection may be gone already, and its session data with it. */
    wsrun_set_session(connection, NULL, 0);
    text event = event_of("left", seat->name);
    append(&event, "}");
    wsrun_publish(seat->room.data, message_of(&event), WSRUN_NO_CONNECTION, NULL);
}

static const char *join(wsrun_connection connection, const seat *old, seat new) {
    room *there = find_room(new.room, false);
    bool found = false;
    person **holder = there ? find_person(there, new.name, &found) : NULL;
    if (found && (*holder)->connection != connection) return "somebody in this room has that name";
    if (old) leave(connection, old);
    if (wsrun_subscribe(connection, new.room.data) != WSRUN_OK) return "there are too many rooms: try again later";

    size_t size = new.name.size + 1 + new.room.size;
    char *session = wsrun_alloc(size);
    memcpy(session, new.name.data, new.name.size);
    session[new.name.size] = '\n';
    memcpy(session + new.name.size + 1, new.room.data, new.room.size);
    if (wsrun_set_session(connection, session, size) != WSRUN_OK) return "the connection is closing";

    there = find_room(new.room, true);
    add_person(there, new.name, connection);
    text joined = event_of("joined", new.name);
    append(&joined, "}");
    /* That it fails takes a queue smaller than an event. Who is there is told to each who joins anyway. */
    wsrun_publish(new.room.data, message_of(&joined), connection, NULL);

    text welcome = event_of("welcome", new.name);
    append(&welcome, ",\"room\":");
    append_json(&welcome, new.room);
    append(&welcome, ",\"who\":[");
    for (person *at = there->people; at; at = at->next) {
        append_json(&welcome, (wsrun_string){at->name, at->size});
        if (at->next) append(&welcome, ",");
    }
    append(&welcome, "]}");
    reply(connection, &welcome);
    return NULL;
}

static const char *say(const seat *seat, wsrun_string words) {
    if (!seat) return "join a room first";
    text event = event_of("said", seat->name);
    append(&event, ",\"text\":");
    append_json(&event, words);
    append(&event, "}");
    wsrun_status status = wsrun_publish(seat->room.data, message_of(&event), WSRUN_NO_CONNECTION, NULL);
    return status == WSRUN_OK ? NULL : "nobody heard that: try again later";
}

void wsrun_on_received(wsrun_connection connection, wsrun_message message) {
    seat seat;
    bool sits = seat_of(connection, &seat);
    request request;
    const char *error = parse_request(message, &request);
    if (!error) {
        switch (request.kind) {
        case JOIN: error = join(connection, sits ? &seat : NULL, (struct seat){request.name, request.room}); break;
        case SAY: error = say(sits ? &seat : NULL, request.text); break;
        case LEAVE:
            if (sits) leave(connection, &seat);
            break;
        }
    }
    if (!error) return;
    text event = {0};
    append(&event, "{\"type\":\"error\",\"message\":");
    append_json(&event, wsrun_text(error));
    append(&event, "}");
    reply(connection, &event);
}

/* This instance has taken over: it learns who is there. */
void wsrun_on_resumed(wsrun_connection connection) {
    seat seat;
    seat_of(connection, &seat);
}

void wsrun_on_closed(wsrun_connection connection, const wsrun_close_info *info) {
    (void)info;
    seat seat;
    if (seat_of(connection, &seat)) leave(connection, &seat);
}
