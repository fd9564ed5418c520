//! What the page and the server say to each other: JSON, one object a message, told apart by its `type`. What people
//! wrote is checked here, once, on its way in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The page's messages.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum FromPage {
    /// Enters a room, and leaves the one before; `last` is the last message that was seen in it.
    Join { token: String, room: String, last: Option<Id> },
    /// Says something. The page draws the key, to know its message again when it comes back, and to be able to say it
    /// again if it has not: a key that is not empty is passed on once, of as many as a room remembers.
    Say { key: String, text: String },
}

/// The server's messages.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum ToPage<'a> {
    /// The page is in the room. These were said before; if it asked for those since a message that is not held any
    /// more, some may be missing before them.
    Welcome { room: &'a str, name: &'a str, node: &'a str, messages: &'a [Said], missing: bool },
    /// Somebody said something in the room.
    Said(&'a Said),
    /// Who is in the room: how often in all, and the first of their names.
    Present { count: usize, names: &'a [&'a str] },
    /// All rooms, and how many are in them.
    Rooms { rooms: &'a [(&'a str, usize)] },
    /// Prices, by symbol.
    Prices { prices: &'a [(&'a str, f64)] },
    /// What the last keep-alive ping and its pong took, in milliseconds.
    Latency { milliseconds: f64 },
    /// What the page said with this key was passed on already, and the room may hold it no more.
    Known { key: &'a str },
    /// What the page said with this key was not passed on.
    Refused { key: &'a str, why: &'a str },
}

/// What was said in a room, and when: `id` begins with the time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Said {
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

/// The place of a message in its room, as in a Redis stream: milliseconds since 1970, and a count within one. So it
/// grows even if the server was started anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Id {
    pub(crate) milliseconds: u64,
    pub(crate) count: u64,
}

impl ToPage<'_> {
    pub(crate) fn json(&self) -> String {
        // Strings, numbers and lists of them: there is nothing that JSON has not.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The letters that cannot be seen: of what Unicode calls alphanumeric all that is also `Default_Ignorable_Code_Point`,
/// fillers in Hangul. With them a name could look like another, or like none.
const UNSEEN: [char; 4] = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'];

/// A name that can be shown, if this is one: letters of any script, digits, and a little between them. What turns the
/// direction of writing, or cannot be seen, is not among it.
pub(crate) fn clean_name(name: &str) -> Option<String> {
    let name = name.trim();
    let is_clean = name.chars().all(|c| c.is_alphanumeric() && !UNSEEN.contains(&c) || " ._-'".contains(c));
    ((1..=24).contains(&name.chars().count()) && is_clean).then(|| name.to_owned())
}

/// Whether this can be a room's name, which is also part of names in Redis.
pub(crate) fn is_room_name(name: &str) -> bool {
    let is_clean = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    (1..=24).contains(&name.len()) && is_clean
}

/// Something that can be said, if this is: 1 to 1000 characters, of which none is a control character but line ends and
/// tabs.
pub(crate) fn clean_text(text: &str) -> Option<String> {
    let text = text.trim();
    let is_clean = text.chars().all(|c| matches!(c, '\n' | '\t') || !c.is_control());
    ((1..=1000).contains(&text.chars().count()) && is_clean).then(|| text.to_owned())
}

/// Whether the page may call its message this.
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
