// A wire between two threads, or two ends of one: what the guide's examples include for a socket. It owns bytes in
// memory and touches no network.

use std::io::{self, PipeReader, PipeWriter, Read, Write};

/// One end: a stream that blocks, as a socket does. Dropping it closes both directions.
struct Wire {
    reader: PipeReader,
    writer: PipeWriter,
}

fn wire() -> io::Result<(Wire, Wire)> {
    let (there, back) = (io::pipe()?, io::pipe()?);
    Ok((Wire { reader: back.0, writer: there.1 }, Wire { reader: there.0, writer: back.1 }))
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
