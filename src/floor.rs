//! Texts cut to a number of bytes, between two characters. (The standard library's own `floor_char_boundary` is younger
//! than the oldest compiler that is supported.)

/// The end of the last whole character within so many bytes of a text.
pub(crate) fn floor(text: &str, bytes: usize) -> usize {
    let mut at = bytes.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::floor;

    #[test]
    fn no_character_is_cut_in_two() {
        for (text, bytes, wanted) in [
            ("", 0, 0),
            ("", 3, 0),
            ("abc", 2, 2),
            ("abc", 9, 3),
            ("a☃b", 1, 1),
            ("a☃b", 2, 1),
            ("a☃b", 3, 1),
            ("a☃b", 4, 4),
            ("☃", 2, 0),
        ] {
            assert_eq!(floor(text, bytes), wanted, "{text:?} {bytes}");
        }
    }
}
