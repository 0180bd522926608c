//! The messages: one JSON object per text message.

use serde::{Deserialize, Serialize};

const NAME_CHARS_MAX: usize = 24;
const ROOM_BYTES_MAX: usize = 32;
const TEXT_CHARS_MAX: usize = 1000;

/// What a client sends.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Request {
    /// Enters a room under a name, and leaves the room it was in.
    Join { name: String, room: String },
    /// Says something to everybody in the room.
    Say { text: String },
    /// Leaves the room.
    Leave {},
}

impl Request {
    /// Reads a message and tidies its texts. The error is for the sender to read.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let request = serde_json::from_str(text)
            .map_err(|_| r#"send {"type":"join","name":…,"room":…}, {"type":"say","text":…} or {"type":"leave"}"#)?;
        Ok(match request {
            Self::Join { name, room } => Self::Join {
                name: valid_name(&name)?,
                room: valid_room(&room)?,
            },
            Self::Say { text } => Self::Say {
                text: valid_text(&text)?,
            },
            Self::Leave {} => Self::Leave {},
        })
    }
}

fn valid_name(name: &str) -> Result<String, &'static str> {
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    match name.chars().count() {
        0 => Err("choose a name"),
        1..=NAME_CHARS_MAX if !name.chars().any(is_invisible) => Ok(name),
        1..=NAME_CHARS_MAX => Err("a name is made of visible characters"),
        _ => Err("a name has at most 24 characters"),
    }
}

fn valid_room(room: &str) -> Result<String, &'static str> {
    let room = room.trim().to_ascii_lowercase();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if (1..=ROOM_BYTES_MAX).contains(&room.len()) && room.bytes().all(allowed) {
        Ok(room)
    } else {
        Err("a room is named by 1 to 32 letters, digits and hyphens")
    }
}

fn valid_text(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err("there is nothing to say"),
        1..=TEXT_CHARS_MAX => Ok(text.to_owned()),
        _ => Err("a text has at most 1000 characters"),
    }
}

/// Control characters, and those that reorder or hide the text around them: a name is shown beside other people's words.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// What the handler sends.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum Event<'a> {
    /// To the one who joined: the name and room as they were tidied, and who is there.
    Welcome {
        name: &'a str,
        room: &'a str,
        who: Vec<&'a str>,
    },
    /// To the others of the room.
    Joined { name: &'a str },
    /// To the others of the room.
    Left { name: &'a str },
    /// To everybody in the room, the speaker included.
    Said { name: &'a str, text: &'a str },
    /// To the sender of a message that was not understood or not allowed.
    Error { message: &'a str },
}

impl Event<'_> {
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and lists of strings have a JSON form")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_rooms_are_tidied() {
        let Ok(Request::Join { name, room }) =
            Request::parse(r#"{"type":"join","name":"  Ada \t L. ","room":"Tea-1 "}"#)
        else {
            panic!("a valid join");
        };
        assert_eq!((name.as_str(), room.as_str()), ("Ada L.", "tea-1"));
    }

    #[test]
    fn what_breaks_a_limit_is_refused() {
        for text in [
            "",
            "{",
            r#"{"type":"shout","text":"x"}"#,
            r#"{"type":"say","text":"x","extra":1}"#,
            r#"{"type":"say","text":" \n"}"#,
            r#"{"type":"join","name":"","room":"a"}"#,
            r#"{"type":"join","name":"a\u202eb","room":"a"}"#,
            r#"{"type":"join","name":"a","room":"a b"}"#,
            &format!(r#"{{"type":"say","text":"{}"}}"#, "x".repeat(1001)),
            &format!(
                r#"{{"type":"join","name":"{}","room":"a"}}"#,
                "x".repeat(25)
            ),
        ] {
            assert!(Request::parse(text).is_err(), "{text}");
        }
    }
}
