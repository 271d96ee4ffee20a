//! The items of a JSON list, or a single object, as bytes, one after the other: a list of any length takes no more
//! memory than its largest item, and an item that is nonsense keeps none of the others out.

use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;

use super::malformed;
use crate::error::Error;

/// Bytes of one item: a conversation of the largest size that is stored, and what other programs keep with it.
const ITEM_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Values in one item: fifty for each message of the longest conversation that is stored. Two bytes of text may become
/// seventy in memory.
const ITEM_VALUES_MAX: usize = 1_000_000;

/// Items of one list: some lifetimes of conversations. An endless file ends somewhere.
const ITEMS_MAX: usize = 1_000_000;

/// One item.
pub(super) enum Item<'i> {
    /// Its bytes: an object, perhaps.
    Whole(&'i [u8]),
    /// It has more than may be.
    TooLarge,
}

/// Gives `each` the items in their order, until it breaks off.
///
/// # Errors
/// [`crate::error::Kind::Malformed`] when this is neither a list nor an object, or ends too soon; those of `each`.
pub(super) fn items(
    source: impl Read,
    mut each: impl FnMut(Item<'_>) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    let mut scan = Scan {
        source: BufReader::with_capacity(64 * 1024, source),
        item: Vec::new(),
        is_large: false,
    };
    let first = scan.after_space()?;
    if first != b'[' {
        scan.read(first)?;
        return match each(scan.item())? {
            ControlFlow::Continue(()) => scan.end(),
            ControlFlow::Break(()) => Ok(()),
        };
    }
    for count in 0.. {
        let mut first = scan.after_space()?;
        match (count, first) {
            (_, b']') => return scan.end(),
            (0, _) => {}
            (_, b',') => first = scan.after_space()?,
            _ => return Err(malformed("its list is broken")),
        }
        if count == ITEMS_MAX {
            return Err(malformed("it has more than 1 000 000 entries"));
        }
        scan.read(first)?;
        if each(scan.item())?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Whether it is a whole list, or a whole object.
///
/// # Errors
/// Those of [`items`].
pub(super) fn check(source: impl Read) -> Result<(), Error> {
    items(source, |_| Ok(ControlFlow::Continue(())))
}

struct Scan<R> {
    source: BufReader<R>,
    item: Vec<u8>,
    is_large: bool,
}

impl<R: Read> Scan<R> {
    fn byte(&mut self) -> Result<Option<u8>, Error> {
        let buffer = self.source.fill_buf().map_err(super::unreadable)?;
        let byte = buffer.first().copied();
        self.source.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    /// The first byte that is no white space (nor the mark that some programs begin with).
    fn after_space(&mut self) -> Result<u8, Error> {
        loop {
            match self.byte()? {
                Some(b' ' | b'\t' | b'\r' | b'\n' | 0xef | 0xbb | 0xbf) => {}
                Some(byte) => return Ok(byte),
                None => return Err(malformed("it ends too soon")),
            }
        }
    }

    /// Reads an object whose first byte has been read. Only its end is looked for.
    fn read(&mut self, first: u8) -> Result<(), Error> {
        if first != b'{' {
            return Err(malformed("its entries are no objects"));
        }
        self.item.clear();
        // What one large item took is not kept for all the small ones.
        self.item.shrink_to(1024 * 1024);
        self.item.push(first);
        self.is_large = false;
        let (mut depth, mut is_text, mut is_escaped) = (1_usize, false, false);
        let mut values = 0_usize;
        while depth > 0 {
            let buffer = self.source.fill_buf().map_err(super::unreadable)?;
            if buffer.is_empty() {
                return Err(malformed("it ends too soon"));
            }
            let mut taken = 0;
            for &byte in buffer {
                taken += 1;
                // As many as there are beginnings of lists and objects, and commas in them.
                values += usize::from(!is_text && matches!(byte, b'{' | b'[' | b','));
                match byte {
                    _ if is_escaped => is_escaped = false,
                    b'\\' if is_text => is_escaped = true,
                    b'"' => is_text = !is_text,
                    b'{' | b'[' if !is_text => depth += 1,
                    b'}' | b']' if !is_text => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
            self.is_large |= self.item.len() + taken > ITEM_BYTES_MAX || values > ITEM_VALUES_MAX;
            if !self.is_large {
                self.item.extend_from_slice(&buffer[..taken]);
            }
            self.source.consume(taken);
        }
        Ok(())
    }

    fn item(&self) -> Item<'_> {
        if self.is_large {
            Item::TooLarge
        } else {
            Item::Whole(&self.item)
        }
    }

    /// Nothing but white space follows.
    fn end(mut self) -> Result<(), Error> {
        while let Some(byte) = self.byte()? {
            if !byte.is_ascii_whitespace() {
                return Err(malformed("more stands behind its end"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        let outcome = items(text.as_bytes(), |item| {
            if let Item::Whole(bytes) = item {
                found.push(String::from_utf8(bytes.to_vec()).unwrap());
            }
            Ok(ControlFlow::Continue(()))
        });
        outcome.map(|()| found).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn lists_and_single_objects() {
        for (text, expected) in [
            ("[]", vec![]),
            (" [ {} ,\n{\"a\": [1, {}]}]\n", vec!["{}", "{\"a\": [1, {}]}"]),
            ("\u{feff}{\"a\":\"]}\\\"[\"}", vec!["{\"a\":\"]}\\\"[\"}"]),
            ("[{\"a\":\"\\\\\"},{}]", vec!["{\"a\":\"\\\\\"}", "{}"]),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_broken_is_refused() {
        for text in [
            "", " ", "7", "[", "[7]", "[{}", "[{},", "[{} {}]", "[,{}]", "[{}]]", "{} {}", "{\"a", "[{},]",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_item_that_is_too_large_is_only_counted() {
        for large in [
            format!("{{\"a\":\"{}\"}}", "x".repeat(ITEM_BYTES_MAX)),
            format!("{{\"a\":[1{}]}}", ",1".repeat(ITEM_VALUES_MAX)),
        ] {
            let list = format!("[{large},{{\"a\":\"{}\"}}]", ",".repeat(ITEM_VALUES_MAX + 1));
            let (mut whole, mut large_ones) = (0, 0);
            items(list.as_bytes(), |item| {
                match item {
                    Item::Whole(_) => whole += 1,
                    Item::TooLarge => large_ones += 1,
                }
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
            assert_eq!((whole, large_ones), (1, 1));
        }
    }
}
