//! Bodies in chunks, as this server's client sends them: whoever plays a model in a test reads them so.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;

/// Reads a body to its last chunk.
pub(crate) fn read_chunks(reader: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim_end(), 16).unwrap_or(0);
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk)?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}
