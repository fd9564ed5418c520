//! A decoder of its own for the bytes that an endpoint sends, which checks them against the RFC.

use websocket_proto::{CloseCode, MessageKind};

#[cfg(feature = "deflate")]
use super::rfc1951::Reader;

/// Something visible on a connection, on the wire and in events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A request, or a response with its status.
    Head(Option<u16>),
    Message(MessageKind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// A Close frame with this body.
    Close(Vec<u8>),
    /// The end as the application sees it: close code and reason.
    End(u16, String),
}

/// Decodes a stream in pieces. Panics on everything that an endpoint must not send.
pub struct Decoder {
    masked: bool,
    stage: Stage,
    /// The bytes that are not decoded yet.
    buffer: Vec<u8>,
    message: Option<Message>,
    #[cfg(feature = "deflate")]
    inflater: Option<Inflater>,
    /// The last frame's key, if keys are checked.
    key: Option<[u8; 4]>,
}

/// A message whose last frame has not arrived.
#[derive(Debug)]
struct Message {
    kind: MessageKind,
    is_compressed: bool,
    payload: Vec<u8>,
}

/// Decompresses the messages of an endpoint that agreed on permessage-deflate.
#[cfg(feature = "deflate")]
struct Inflater {
    reader: Reader,
    takes_over: bool,
    /// The greatest distance of a reference.
    window: usize,
}

#[derive(PartialEq, Eq)]
enum Stage {
    Head,
    Frames,
    /// After a Close frame, where only control frames may follow.
    Closing,
    /// After a response that rejects.
    Nothing,
}

impl Decoder {
    /// Starts with an HTTP head; a client's frames are masked.
    pub fn new(masked: bool) -> Self {
        Self {
            masked,
            stage: Stage::Head,
            buffer: Vec::new(),
            message: None,
            #[cfg(feature = "deflate")]
            inflater: None,
            key: None,
        }
    }

    /// Starts with a frame.
    pub fn of_frames(masked: bool) -> Self {
        Self { stage: Stage::Frames, ..Self::new(masked) }
    }

    /// Checks that no frame's key is zero or equal to the key before it. For keys from a fixed seed: random ones may be
    /// either.
    pub fn with_fresh_keys(self) -> Self {
        Self { key: Some([0; 4]), ..self }
    }

    /// Also accepts compressed messages. `takes_over`: each may refer to earlier ones, `window` bytes back.
    #[cfg(feature = "deflate")]
    pub fn inflating(self, takes_over: bool, window: usize) -> Self {
        Self { inflater: Some(Inflater { reader: Reader::default(), takes_over, window }), ..self }
    }

    /// Decodes the next bytes; returns the completed items.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Item> {
        self.buffer.extend_from_slice(bytes);
        let (mut items, mut at) = (Vec::new(), 0);
        while let Some((len, item)) = self.decode(at) {
            items.extend(item);
            at += len;
        }
        self.buffer.drain(..at);
        items
    }

    /// Whether the stream ends between two frames.
    pub fn is_between_frames(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The length of the next head or frame, and its item, if it is complete.
    fn decode(&mut self, at: usize) -> Option<(usize, Option<Item>)> {
        match self.stage {
            Stage::Head => self.decode_head(at),
            Stage::Nothing => {
                assert!(self.buffer[at..].is_empty(), "bytes after a rejection");
                None
            }
            Stage::Frames | Stage::Closing => self.decode_frame(at),
        }
    }

    fn decode_head(&mut self, at: usize) -> Option<(usize, Option<Item>)> {
        let bytes = &self.buffer[at..];
        let len = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&bytes[..len]).expect("a head is text");
        let status = head.strip_prefix("HTTP/1.1 ").map(|line| line[..3].parse().expect("a status"));
        if status == Some(100) {
            return Some((len, None));
        }
        let body = match status {
            None | Some(101) => 0,
            // RFC 9110 §8.6: the answer to HEAD has no body, and no Content-Length.
            Some(_) => {
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                length.map_or(0, |length| length.parse().expect("a length"))
            }
        };
        if bytes.len() < len + body {
            return None;
        }
        self.stage = if matches!(status, None | Some(101)) { Stage::Frames } else { Stage::Nothing };
        Some((len + body, Some(Item::Head(status))))
    }

    fn decode_frame(&mut self, at: usize) -> Option<(usize, Option<Item>)> {
        let bytes = &self.buffer[at..];
        let [first, second, ..] = *bytes else { return None };
        // RFC 7692 §6: RSV1 is for the first frame of a message. RFC 6455 §5.1: a client masks, a server does not.
        let marked = if self.inflates() && matches!(first & 0xf, 1 | 2) { 0x40 } else { 0 };
        let reserved = first & 0x70 & !marked;
        assert_eq!((reserved, second & 0x80 != 0), (0, self.masked), "reserved bits and mask of {bytes:x?}");
        let (extended, least) = match second & 0x7f {
            126 => (2, 126),
            127 => (8, 0x1_0000),
            _ => (0, 0),
        };
        let len = match extended {
            0 => usize::from(second & 0x7f),
            _ => bytes.get(2..2 + extended)?.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)),
        };
        assert!(len >= least, "§5.2: the length is minimal");
        let start = 2 + extended + if self.masked { 4 } else { 0 };
        let mut payload = bytes.get(start..start + len)?.to_vec();
        if self.masked {
            let key: [u8; 4] = bytes[start - 4..start].try_into().expect("four bytes");
            if let Some(last) = &mut self.key {
                assert!(key != [0; 4] && key != *last, "§5.3: a key is fresh for every frame: {key:x?}");
                *last = key;
            }
            payload.iter_mut().enumerate().for_each(|(i, byte)| *byte ^= key[i % 4]);
        }
        let (fin, opcode) = (first & 0x80 != 0, first & 0xf);
        let is_compressed = first & 0x40 != 0;
        let item = if opcode < 8 {
            self.data(fin, opcode, is_compressed, payload)
        } else {
            Some(self.control(fin, opcode, payload))
        };
        Some((start + len, item))
    }

    fn data(&mut self, fin: bool, opcode: u8, is_compressed: bool, payload: Vec<u8>) -> Option<Item> {
        assert!(self.stage == Stage::Frames, "§5.5.1: a data frame after a Close");
        let message = match (opcode, self.message.take()) {
            (0, Some(begun)) => Message { payload: [begun.payload, payload].concat(), ..begun },
            (1, None) => Message { kind: MessageKind::Text, is_compressed, payload },
            (2, None) => Message { kind: MessageKind::Binary, is_compressed, payload },
            (opcode, message) => panic!("§5.4: opcode {opcode} after {message:?}"),
        };
        if !fin {
            self.message = Some(message);
            return None;
        }
        let Message { kind, is_compressed, payload } = message;
        let payload = if is_compressed { self.inflate(&payload) } else { payload };
        assert!(kind == MessageKind::Binary || std::str::from_utf8(&payload).is_ok(), "§5.6: text is UTF-8");
        Some(Item::Message(kind, payload))
    }

    #[cfg(feature = "deflate")]
    fn inflates(&self) -> bool {
        self.inflater.is_some()
    }

    #[cfg(feature = "deflate")]
    fn inflate(&mut self, payload: &[u8]) -> Vec<u8> {
        let inflater = self.inflater.as_mut().expect("RSV1 is reserved without the extension");
        if !inflater.takes_over {
            inflater.reader = Reader::default();
        }
        let message = inflater.reader.message(payload);
        assert!(inflater.reader.farthest <= inflater.window, "RFC 7692 §7.1.2: a reference beyond the window");
        message
    }

    #[cfg(not(feature = "deflate"))]
    #[expect(clippy::unused_self, reason = "stands for what the feature does")]
    fn inflates(&self) -> bool {
        false
    }

    #[cfg(not(feature = "deflate"))]
    #[expect(clippy::unused_self, reason = "stands for what the feature does")]
    fn inflate(&mut self, _: &[u8]) -> Vec<u8> {
        unreachable!("RSV1 is reserved")
    }

    fn control(&mut self, fin: bool, opcode: u8, payload: Vec<u8>) -> Item {
        assert!(fin && payload.len() <= 125, "§5.5: control frames are whole and short");
        match opcode {
            8 => {
                assert!(self.stage == Stage::Frames, "a second Close");
                self.stage = Stage::Closing;
                end(&payload);
                Item::Close(payload)
            }
            9 => Item::Ping(payload),
            10 => Item::Pong(payload),
            _ => panic!("reserved opcode {opcode}"),
        }
    }
}

/// The end that follows a Close frame with this body (RFC 6455 §5.5.1, §7.1.5, §7.1.6).
pub fn end(body: &[u8]) -> Item {
    let Some((code, reason)) = body.split_first_chunk() else {
        assert!(body.is_empty(), "half a code");
        return Item::End(1005, String::new());
    };
    let code = CloseCode::new(u16::from_be_bytes(*code)).expect("a code that may be sent");
    Item::End(code.get(), std::str::from_utf8(reason).expect("a reason is UTF-8").into())
}
