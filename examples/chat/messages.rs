//! The protocol between page and server: JSON, one object a message, with its kind in `type`. User input is checked
//! here, once, when it arrives.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The page's messages.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum FromPage {
    /// Enters a room, and leaves the one before; `last` is the last message that the page has seen in it.
    Join { token: String, room: String, last: Option<Id> },
    /// Sends a message. The page chooses the key, to recognise its message when it comes back, and to send it again if
    /// it does not. The room broadcasts a key that is not empty once, as long as it remembers the key.
    Say { key: String, text: String },
}

/// The server's messages.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum ToPage<'a> {
    /// The page is in the room, with these messages so far. If the page asked for those after a message that is no
    /// longer kept, some before these may be missing.
    Welcome { room: &'a str, name: &'a str, node: &'a str, messages: &'a [RoomMessage], missing: bool },
    /// A message in the room.
    Said(&'a RoomMessage),
    /// The number of users in the room, and the first of their names.
    Present { count: usize, names: &'a [&'a str] },
    /// All rooms, with the number of users in each.
    Rooms { rooms: &'a [(&'a str, usize)] },
    /// Prices, by symbol.
    Prices { prices: &'a [(&'a str, f64)] },
    /// The round trip of the last keep-alive ping, in milliseconds.
    Latency { milliseconds: f64 },
    /// The page's message with this key was already broadcast; the room may no longer keep it.
    Known { key: &'a str },
    /// The page's message with this key was rejected.
    Refused { key: &'a str, why: &'a str },
}

/// A message in a room; `id` begins with its time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RoomMessage {
    pub(crate) id: Id,
    #[serde(flatten)]
    pub(crate) body: Body,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Body {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) key: String,
}

/// The position of a message in its room, as in a Redis stream: milliseconds since 1970, and a count within one. So it
/// grows even after the server restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Id {
    pub(crate) milliseconds: u64,
    pub(crate) count: u64,
}

impl ToPage<'_> {
    pub(crate) fn json(&self) -> String {
        // Strings, numbers and lists of them always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Invisible letters: fillers in Hangul, the characters that are alphanumeric and also `Default_Ignorable_Code_Point`
/// in Unicode. With them, two names could look the same, or a name be invisible.
const INVISIBLE: [char; 4] = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'];

/// The trimmed name if it can be shown: letters of any script, digits, and some punctuation. Characters that change the
/// direction of text, or are invisible, are not allowed.
pub(crate) fn clean_name(name: &str) -> Option<String> {
    let name = name.trim();
    let is_clean = name.chars().all(|c| c.is_alphanumeric() && !INVISIBLE.contains(&c) || " ._-'".contains(c));
    ((1..=24).contains(&name.chars().count()) && is_clean).then(|| name.to_owned())
}

/// Whether this can be a room's name, which is also part of names in Redis.
pub(crate) fn is_room_name(name: &str) -> bool {
    let is_clean = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    (1..=24).contains(&name.len()) && is_clean
}

/// The trimmed text if it can be sent: 1 to 1000 characters, without control characters other than line ends and tabs.
pub(crate) fn clean_text(text: &str) -> Option<String> {
    let text = text.trim();
    let is_clean = text.chars().all(|c| matches!(c, '\n' | '\t') || !c.is_control());
    ((1..=1000).contains(&text.chars().count()) && is_clean).then(|| text.to_owned())
}

/// Whether the page may use this as a message's key.
pub(crate) fn is_key(key: &str) -> bool {
    key.len() <= 40 && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.milliseconds, self.count)
    }
}

impl FromStr for Id {
    type Err = &'static str;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        let parsed = id.split_once('-').and_then(|(milliseconds, count)| {
            Some(Self { milliseconds: milliseconds.parse().ok()?, count: count.parse().ok()? })
        });
        parsed.ok_or("an id is two numbers with a hyphen between them")
    }
}

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        id.parse()
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.to_string()
    }
}
