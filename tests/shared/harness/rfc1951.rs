//! DEFLATE (RFC 1951), written and read bit by bit, independent of zlib.

/// A DEFLATE stream in progress.
#[derive(Clone, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    bits: u32,
}

impl Writer {
    /// RFC 1951 §3.1.1: "Data elements other than Huffman codes are packed starting with the least-significant bit of
    /// the data element."
    pub fn number(mut self, number: u32, bits: u32) -> Self {
        for bit in 0..bits {
            if self.bits.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().expect("a byte was pushed") |= ((number >> bit & 1) as u8) << (self.bits % 8);
            self.bits += 1;
        }
        self
    }

    /// RFC 1951 §3.1.1: "Huffman codes are packed starting with the most-significant bit of the code."
    pub fn code(self, code: u32, bits: u32) -> Self {
        self.number(code.reverse_bits() >> (32 - bits), bits)
    }

    fn align(mut self) -> Self {
        self.bits = self.bits.next_multiple_of(8);
        self
    }

    pub fn stored(self, last: bool, data: &[u8]) -> Self {
        let len = u32::try_from(data.len()).ok().filter(|len| *len < 1 << 16).expect("fits a stored block");
        let mut writer = self.number(last.into(), 3).align().number(len, 16).number(!len & 0xffff, 16);
        writer.bytes.extend(data);
        writer.bits += 8 * len;
        writer
    }

    /// Begins a block with fixed codes.
    pub fn fixed(self, last: bool) -> Self {
        self.number(u32::from(last) | 1 << 1, 3)
    }

    /// Literals in a block with fixed codes (RFC 1951 §3.2.6).
    pub fn literals(self, bytes: &[u8]) -> Self {
        bytes.iter().fold(self, |writer, byte| match u32::from(*byte) {
            byte @ 0..144 => writer.code(0x30 + byte, 8),
            byte => writer.code(0x190 + byte - 144, 9),
        })
    }

    /// In a block with fixed codes: three bytes from `distance` bytes before.
    pub fn three_from(self, distance: usize) -> Self {
        let (symbol, base, extra) = (0..30).map(distance_code).rfind(|code| code.1 <= distance).expect("from 1 on");
        let rest = u32::try_from(distance - base).expect("small");
        self.code(1, 7).code(symbol, 5).number(rest, extra)
    }

    /// Ends a block with fixed codes.
    pub fn end(self) -> Self {
        self.code(0, 7)
    }

    /// Ends the last block of a stream, with fixed codes; the next one starts at the next byte.
    pub fn end_last(self) -> Self {
        self.end().align()
    }

    /// Whether the last byte is full.
    pub fn is_aligned(&self) -> bool {
        self.bits.is_multiple_of(8)
    }

    /// The bytes written so far.
    pub fn bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Ends a message with the empty stored block, of which `00 00 ff ff` is not sent.
    pub fn message(self) -> Vec<u8> {
        self.number(0, 3).bytes
    }
}

/// RFC 1951 §3.2.5: a distance code, the least distance that it means, and its extra bits.
fn distance_code(symbol: u32) -> (u32, usize, u32) {
    if symbol < 4 {
        return (symbol, symbol as usize + 1, 0);
    }
    let extra = symbol / 2 - 1;
    (symbol, ((2 + (symbol as usize & 1)) << extra) + 1, extra)
}

/// A decompressor that keeps all data, and records the greatest distance of a reference.
#[derive(Default)]
pub struct Reader {
    out: Vec<u8>,
    pub farthest: usize,
}

impl Reader {
    /// Decompresses a message (RFC 7692 §7.2.2), which must end at a block's end.
    #[track_caller]
    pub fn message(&mut self, payload: &[u8]) -> Vec<u8> {
        let start = self.out.len();
        let bytes = [payload, &[0x00, 0x00, 0xff, 0xff]].concat();
        let mut bits = Bits { bytes: &bytes, at: 0 };
        while bits.at < 8 * bytes.len() {
            let last = bits.number(1);
            match bits.number(2) {
                0 => {
                    bits.at = bits.at.next_multiple_of(8);
                    let (len, complement) = (bits.number(16), bits.number(16));
                    assert_eq!(len ^ complement, 0xffff);
                    self.out.extend((0..len).map(|_| bits.number(8) as u8));
                }
                1 => {
                    let lengths: Vec<u8> = (0..288)
                        .map(|symbol| match symbol {
                            144..256 => 9,
                            256..280 => 7,
                            _ => 8,
                        })
                        .collect();
                    self.block(&mut bits, &Huffman::new(&lengths), &Huffman::new(&[5; 30]));
                }
                2 => {
                    let (literals, distances) = bits.codes();
                    self.block(&mut bits, &literals, &distances);
                }
                kind => panic!("block of kind {kind}"),
            }
            if last == 1 {
                bits.at = bits.at.next_multiple_of(8);
            }
        }
        self.out[start..].to_vec()
    }

    #[track_caller]
    fn block(&mut self, bits: &mut Bits<'_>, literals: &Huffman, distances: &Huffman) {
        loop {
            let length = match bits.symbol(literals) {
                byte @ 0..256 => {
                    self.out.push(byte as u8);
                    continue;
                }
                256 => return,
                285 => 258,
                symbol @ 257..265 => symbol - 254,
                symbol => {
                    let (symbol, extra) = (symbol - 257, (symbol - 257) / 4 - 1);
                    ((4 + (symbol & 3)) << extra) + 3 + bits.number(extra)
                }
            };
            let (_, base, extra) = distance_code(bits.symbol(distances));
            let distance = base + bits.number(extra) as usize;
            self.farthest = self.farthest.max(distance);
            for _ in 0..length {
                self.out.push(self.out[self.out.len() - distance]);
            }
        }
    }
}

struct Bits<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Bits<'_> {
    #[track_caller]
    fn number(&mut self, bits: u32) -> u32 {
        (0..bits).fold(0, |number, bit| {
            let at = self.at;
            self.at += 1;
            number | u32::from(self.bytes[at / 8] >> (at % 8) & 1) << bit
        })
    }

    #[track_caller]
    fn symbol(&mut self, huffman: &Huffman) -> u32 {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &huffman.counts[1..] {
            code = code << 1 | self.number(1) as usize;
            if code - first < *count {
                return huffman.symbols[index + code - first];
            }
            (first, index) = ((first + count) << 1, index + count);
        }
        panic!("no such code")
    }

    /// RFC 1951 §3.2.7.
    #[track_caller]
    fn codes(&mut self) -> (Huffman, Huffman) {
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let (literals, distances) = (self.number(5) as usize + 257, self.number(5) as usize + 1);
        let mut lengths = [0; 19];
        for place in &ORDER[..self.number(4) as usize + 4] {
            lengths[*place] = self.number(3) as u8;
        }
        let huffman = Huffman::new(&lengths);
        let mut lengths: Vec<u8> = Vec::new();
        while lengths.len() < literals + distances {
            let (length, times) = match self.symbol(&huffman) {
                16 => (*lengths.last().expect("something to repeat"), 3 + self.number(2)),
                17 => (0, 3 + self.number(3)),
                18 => (0, 11 + self.number(7)),
                length => (length as u8, 1),
            };
            lengths.extend((0..times).map(|_| length));
        }
        let (literals, distances) = lengths.split_at(literals);
        (Huffman::new(literals), Huffman::new(distances))
    }
}

/// A canonical code: the number of symbols of each length, and the symbols by length.
struct Huffman {
    counts: [usize; 16],
    symbols: Vec<u32>,
}

impl Huffman {
    fn new(lengths: &[u8]) -> Self {
        let with_length = |wanted: u8| (0_u32..).zip(lengths).filter(move |(_, length)| **length == wanted);
        let counts = std::array::from_fn(|length| if length == 0 { 0 } else { with_length(length as u8).count() });
        let symbols = (1..16).flat_map(with_length).map(|(symbol, _)| symbol).collect();
        Self { counts, symbols }
    }
}
