//! Files that clients write into their requests: `data:` URLs (RFC 2397), in base64 as every client sends them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The media type and the bytes of a `data:` URL. `None`: it is none, or not in base64.
pub fn read_data_url(url: &str) -> Option<(String, Vec<u8>)> {
    let (scheme, rest) = url.split_at_checked(5)?;
    if !scheme.eq_ignore_ascii_case("data:") {
        return None;
    }
    let (head, data) = rest.split_once(',')?;
    let (media_type, encoding) = head.rsplit_once(';')?;
    if !encoding.eq_ignore_ascii_case("base64") {
        return None;
    }
    // What else is said of the type (`;charset=…`) changes nothing about the bytes.
    let media_type = media_type.split(';').next()?.trim().to_ascii_lowercase();
    STANDARD.decode(data).ok().map(|bytes| (media_type, bytes))
}

#[cfg(test)]
mod tests {
    use super::read_data_url;

    #[test]
    fn what_is_a_file_and_what_is_not() {
        let read = |url| read_data_url(url).map(|(media_type, bytes)| (media_type, String::from_utf8(bytes).unwrap()));
        let found = |media_type: &str, text: &str| Some((media_type.to_owned(), text.to_owned()));
        assert_eq!(read("data:image/png;base64,UE5H"), found("image/png", "PNG"));
        assert_eq!(read("DATA:Image/PNG;charset=x;Base64,UE5H"), found("image/png", "PNG"));
        assert_eq!(read("data:;base64,"), found("", ""));
        for url in [
            "",
            "data:",
            "dätä:;base64,",
            "data:image/png,UE5H",
            "data:image/png;base64",
            "data:image/png;base64,UE5",
            "data:image/png;base64,U E5H",
            "https://example.com/a.png",
        ] {
            assert_eq!(read(url), None, "{url}");
        }
    }
}
