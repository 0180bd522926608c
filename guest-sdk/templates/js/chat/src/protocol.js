// The messages: one JSON object per text message.

const NAME_CHARS_MAX = 24;
const ROOM_BYTES_MAX = 32;
const TEXT_CHARS_MAX = 1000;

const USAGE = 'send {"type":"join","name":…,"room":…}, {"type":"say","text":…} or {"type":"leave"}';

/** What each type of request is made of. */
const FIELDS = { join: ["name", "room"], say: ["text"], leave: [] };

/** An error that is for the sender to read. */
export class ChatError extends Error {}

/** Reads a request and tidies its texts. */
export function parse(text) {
  const request = objectOf(text);
  const { type } = request;
  const fields = Object.hasOwn(FIELDS, type) ? FIELDS[type] : undefined;
  const isKnown = fields?.every((field) => field in request) && Object.keys(request).length === fields.length + 1;
  if (!isKnown) throw new ChatError(USAGE);
  switch (type) {
    case "join":
      return { type, name: validName(request.name), room: validRoom(request.room) };
    case "say":
      return { type, text: validText(request.text) };
    default:
      return { type: "leave" };
  }
}

/** A JSON object whose values are strings. `JSON.parse` would take the last of two fields with one name, and half a character. */
function objectOf(text) {
  const object = Object.create(null);
  const whole = text.match(/^[ \t\n\r]*\{([^]*)\}[ \t\n\r]*$/);
  if (whole === null) throw new ChatError(USAGE);
  const pair = /[ \t\n\r]*("(?:[^"\\]|\\.)*")[ \t\n\r]*:[ \t\n\r]*("(?:[^"\\]|\\.)*")[ \t\n\r]*(,|$)/y;
  const inside = whole[1];
  let more = !/^[ \t\n\r]*$/.test(inside);
  while (more) {
    const found = pair.exec(inside);
    if (found === null) throw new ChatError(USAGE);
    const [name, value] = [stringOf(found[1]), stringOf(found[2])];
    if (name in object) throw new ChatError(USAGE);
    object[name] = value;
    more = found[3] === ",";
  }
  return object;
}

function stringOf(token) {
  let text;
  try {
    text = JSON.parse(token);
  } catch {
    throw new ChatError(USAGE);
  }
  if (!text.isWellFormed()) throw new ChatError(USAGE);
  return text;
}

// What Unicode calls white space: `\s` has one more, and one less.
const SPACE = "[\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+";
const SPACES = new RegExp(SPACE, "g");
const ENDS = new RegExp(`^${SPACE}|${SPACE}$`, "g");

// Control characters, and those that reorder or hide the text around them: a name is shown beside other people's words.
const INVISIBLE = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/;

function validName(given) {
  const name = trimmed(given).replace(SPACES, " ");
  const chars = [...name].length;
  if (chars === 0) throw new ChatError("choose a name");
  if (chars > NAME_CHARS_MAX) throw new ChatError("a name has at most 24 characters");
  if (INVISIBLE.test(name)) throw new ChatError("a name is made of visible characters");
  return name;
}

function validRoom(given) {
  const room = trimmed(given).replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  if (!/^[a-z0-9-]+$/.test(room) || room.length > ROOM_BYTES_MAX) {
    throw new ChatError("a room is named by 1 to 32 letters, digits and hyphens");
  }
  return room;
}

function validText(given) {
  const text = trimmed(given);
  const chars = [...text].length;
  if (chars === 0) throw new ChatError("there is nothing to say");
  if (chars > TEXT_CHARS_MAX) throw new ChatError("a text has at most 1000 characters");
  return text;
}

function trimmed(text) {
  return text.replace(ENDS, "");
}

/** The order of characters, as bytes of UTF-8 have it and `<` has not. */
export function inOrder(names) {
  return [...names].sort((one, other) => {
    const [left, right] = [codePoints(one), codePoints(other)];
    const at = left.findIndex((point, index) => point !== right[index]);
    return at < 0 ? left.length - right.length : left[at] - (right[at] ?? -1);
  });
}

function codePoints(text) {
  return Array.from(text, (character) => character.codePointAt(0));
}

// What the handler sends.

/** To the one who joined: the name and room as they were tidied, and who is there. */
export function welcome(name, room, who) {
  return JSON.stringify({ type: "welcome", name, room, who });
}

/** To the others of the room. */
export function joined(name) {
  return JSON.stringify({ type: "joined", name });
}

/** To the others of the room. */
export function left(name) {
  return JSON.stringify({ type: "left", name });
}

/** To everybody in the room, the speaker included. */
export function said(name, text) {
  return JSON.stringify({ type: "said", name, text });
}

/** To the sender of a message that was not understood or not allowed. */
export function refused(message) {
  return JSON.stringify({ type: "error", message });
}
