//! Parsers for header values: lists, tokens, parameters, numbers (RFC 6455 §4.3, RFC 9110 §5.6).

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

/// One element of Sec-WebSocket-Extensions: an extension and its parameters, in order (RFC 6455 §9.1).
///
/// # Examples
/// ```
/// use websocket_proto::handshake::parse_extensions;
///
/// let offers = parse_extensions([b"permessage-deflate; client_max_window_bits, x; y=\"1\\0\"".as_slice()]).unwrap();
/// assert_eq!(offers[0].name, "permessage-deflate");
/// assert_eq!(offers[0].parameters, [("client_max_window_bits".into(), None)]);
/// assert_eq!(offers[1].parameters, [("y".into(), Some("10".into()))]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extension {
    /// The extension's name, a token.
    pub name: String,
    /// The parameters, each with its unquoted value if it has one.
    pub parameters: Vec<(String, Option<String>)>,
}

/// The error of [`parse_extensions`]: a header value that does not follow its grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedHeader(());

impl core::fmt::Display for MalformedHeader {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("header value does not follow its grammar")
    }
}

impl core::error::Error for MalformedHeader {}

/// Parses the values of all Sec-WebSocket-Extensions headers, which form one list (RFC 6455 §9.1). Ignores empty
/// elements between commas, as RFC 9110 §5.6.1 asks.
///
/// # Errors
/// If a value does not follow the grammar, if there is no element, or if there are more than a hundred headers, commas
/// and semicolons in total.
pub fn parse_extensions<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Result<Vec<Extension>, MalformedHeader> {
    parse_list(values, |cursor| {
        let mut parameters = Vec::with_capacity(cursor.semicolons());
        let name = cursor.extension(|name, value| parameters.push((unescape(name), value.map(unescape))))?;
        Ok(Extension { name: unescape(name), parameters })
    })
}

/// Counts the extensions in `values`, and their parameters. Does not allocate.
pub(crate) fn count_extensions<'v>(
    values: impl IntoIterator<Item = &'v [u8]>,
) -> Result<(usize, usize), MalformedHeader> {
    let parameters = Cell::new(0);
    // A `Vec<()>` allocates nothing.
    let extensions = parse_list(values, |cursor| cursor.extension(|_, _| parameters.update(|n| n + 1)).map(drop))?;
    Ok((extensions.len(), parameters.get()))
}

/// Parses a list of tokens, such as Sec-WebSocket-Protocol, from the values of all headers with its name.
pub(crate) fn parse_tokens<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Result<Vec<String>, MalformedHeader> {
    parse_list(values, |cursor| cursor.token().map(unescape))
}

/// The elements of a list, from the values of all headers with its name: the non-empty parts between commas. Does not
/// check their grammar.
pub(crate) fn elements<'v>(values: impl Iterator<Item = &'v [u8]>) -> impl Iterator<Item = &'v [u8]> {
    values.flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii).filter(|e| !e.is_empty())
}

/// Whether `list` contains `element`. Ignores ASCII case.
pub(crate) fn has_element(list: &[u8], element: &str) -> bool {
    let is_element = |bytes: &[u8]| bytes.eq_ignore_ascii_case(element.as_bytes());
    // Usually it is the only element.
    list == element.as_bytes() || is_element(list) || elements([list].into_iter()).any(is_element)
}

/// RFC 6455 §4.3: `version = DIGIT | (NZDIGIT DIGIT) | ("1" DIGIT DIGIT) | ("2" DIGIT DIGIT)`, limited to 0–255.
pub(crate) fn parse_version(value: &[u8]) -> Option<u8> {
    let leading_zero = value.len() > 1 && value.starts_with(b"0");
    parse_digits(value).filter(|_| !leading_zero).and_then(|version| u8::try_from(version).ok())
}

/// Parses a decimal number without a sign; a number beyond 64 bits becomes `u64::MAX`.
pub(crate) fn parse_digits(value: &[u8]) -> Option<u64> {
    let append_digit = |number: u64, byte: &u8| {
        byte.is_ascii_digit().then(|| number.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
    };
    if value.is_empty() { None } else { value.iter().try_fold(0, append_digit) }
}

/// Whether `text` is a token (RFC 9110 §5.6.2). RFC 6455 §4.1 allows the same characters in a subprotocol.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

pub(crate) fn is_token_byte(byte: u8) -> bool {
    const TOKEN: ByteSet = ByteSet::alphanumeric_and(b"!#$%&'*+-.^_`|~");

    TOKEN.has(byte)
}

/// A set of byte values, as a table.
pub(crate) struct ByteSet([bool; 256]);

impl ByteSet {
    /// ASCII letters and digits, and `others`.
    pub(crate) const fn alphanumeric_and(others: &[u8]) -> Self {
        let mut table = [false; 256];
        let (mut entries, mut byte): (&mut [bool], u8) = (&mut table, 0);
        while let Some((is_in, next_entries)) = entries.split_first_mut() {
            *is_in = byte.is_ascii_alphanumeric();
            let mut others = others;
            while let [other, next_others @ ..] = others {
                *is_in |= *other == byte;
                others = next_others;
            }
            byte = byte.wrapping_add(1);
            entries = next_entries;
        }
        Self(table)
    }

    #[inline]
    pub(crate) fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).is_some_and(|is_in| *is_in)
    }

    pub(crate) fn has_all(&self, bytes: &[u8]) -> bool {
        bytes.iter().all(|&byte| self.has(byte))
    }
}

/// Limit on the headers, commas and semicolons of one list. A longer list counts as malformed: no honest peer sends
/// one, and a parsed element takes more memory than its bytes in the head.
const MAX_DELIMITERS: usize = 100;

/// Parses a list, each element with `parse_element`. RFC 9110 §5.6.1: "A recipient MUST parse and ignore a reasonable
/// number of empty list elements". RFC 6455 requires at least one element.
fn parse_list<'v, T>(
    values: impl IntoIterator<Item = &'v [u8]>,
    parse_element: impl Fn(&mut Cursor<'v>) -> Result<T, MalformedHeader>,
) -> Result<Vec<T>, MalformedHeader> {
    let (mut list, mut delimiters) = (Vec::new(), 0);
    for value in values {
        delimiters += 1 + value.iter().filter(|byte| matches!(byte, b',' | b';')).count();
        if delimiters > MAX_DELIMITERS {
            return Err(MalformedHeader(()));
        }
        let mut cursor = Cursor { rest: value };
        loop {
            while cursor.eat(b',') {}
            if cursor.at_end() {
                break;
            }
            list.push(parse_element(&mut cursor)?);
            if !cursor.at_end() && !cursor.eat(b',') {
                return Err(MalformedHeader(()));
            }
        }
    }
    if list.is_empty() { Err(MalformedHeader(())) } else { Ok(list) }
}

struct Cursor<'v> {
    rest: &'v [u8],
}

impl<'v> Cursor<'v> {
    /// RFC 6455 §4.3 keeps RFC 2616's implied white space: every token and delimiter may have white space around it.
    fn skip_white_space(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn at_end(&mut self) -> bool {
        self.skip_white_space();
        self.rest.is_empty()
    }

    fn eat(&mut self, delimiter: u8) -> bool {
        self.skip_white_space();
        match self.rest {
            [first, rest @ ..] if *first == delimiter => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// The number of semicolons before the next comma, which is the most parameters that the extension here can have.
    fn semicolons(&self) -> usize {
        let element = self.rest.split(|&byte| byte == b',').next().unwrap_or_default();
        element.split(|&byte| byte == b';').skip(1).count()
    }

    /// Parses an extension: passes each parameter to `on_parameter`, and returns the extension's name.
    fn extension(
        &mut self,
        mut on_parameter: impl FnMut(&'v [u8], Option<&'v [u8]>),
    ) -> Result<&'v [u8], MalformedHeader> {
        let extension_name = self.token()?;
        while self.eat(b';') {
            let name = self.token()?;
            let value = if self.eat(b'=') { Some(self.token_or_quoted()?) } else { None };
            on_parameter(name, value);
        }
        Ok(extension_name)
    }

    fn token(&mut self) -> Result<&'v [u8], MalformedHeader> {
        self.skip_white_space();
        let end = self.rest.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        if token.is_empty() { Err(MalformedHeader(())) } else { Ok(token) }
    }

    /// Parses a parameter's value; a quoted one is returned with its escapes, for [`unescape`] to remove.
    ///
    /// RFC 6455 §9.1: "When using the quoted-string syntax variant, the value after quoted-string unescaping MUST
    /// conform to the 'token' ABNF."
    fn token_or_quoted(&mut self) -> Result<&'v [u8], MalformedHeader> {
        if !self.eat(b'"') {
            return self.token();
        }
        let quoted = self.rest;
        loop {
            let (byte, rest) = match self.rest {
                [b'"', rest @ ..] => {
                    let (value, _) = quoted.split_at(quoted.len().saturating_sub(self.rest.len()));
                    self.rest = rest;
                    return if value.is_empty() { Err(MalformedHeader(())) } else { Ok(value) };
                }
                [b'\\', byte, rest @ ..] | [byte, rest @ ..] => (*byte, rest),
                [] => return Err(MalformedHeader(())),
            };
            if !is_token_byte(byte) {
                return Err(MalformedHeader(()));
            }
            self.rest = rest;
        }
    }
}

/// Converts a token, or the content of a quoted string, to text. Removes every backslash: a token has none, so each is
/// an escape.
fn unescape(token: &[u8]) -> String {
    let mut text = String::with_capacity(token.len());
    text.extend(token.iter().filter(|&&byte| byte != b'\\').map(|&byte| char::from(byte)));
    text
}
