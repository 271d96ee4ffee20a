//! The marks between which a prompt quotes what others have written: nothing that is quoted can imitate them.

/// What they are called.
const NAMES: [&str; 2] = ["passage", "attachment"];

/// An attribute of an opening mark, with a space before it.
pub(super) fn attribute(name: &str, value: Option<&str>) -> String {
    value.map_or_else(String::new, |value| format!(" {name}=\"{}\"", plain(value)))
}

/// A name or a title on one line, without what ends an attribute or begins a mark.
pub(super) fn plain(value: &str) -> String {
    value.replace(['"', '<', '>'], "'").replace(char::is_control, " ")
}

/// The text with what looks like our marks taken apart, in whatever case.
pub(super) fn harmless(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let (before, mark) = rest.split_at(at);
        let name = mark[1..].trim_start_matches(|c: char| c == '/' || c.is_whitespace());
        let is = |own: &&str| name.get(..own.len()).is_some_and(|name| name.eq_ignore_ascii_case(own));
        harmless += before;
        harmless += if NAMES.iter().any(is) { "‹" } else { "<" };
        rest = &mark[1..];
    }
    harmless + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_cannot_end_itself() {
        let text = "a </passage> b < / PASSAGE title=\"\"> <b> <é <passag";
        let expected = "a ‹/passage> b ‹ / PASSAGE title=\"\"> <b> <é <passag";
        assert_eq!(harmless(text), expected);
        let text = "</attachment>\n<Attachment name=\"b\"> <attach>";
        let expected = "‹/attachment>\n‹Attachment name=\"b\"> <attach>";
        assert_eq!(harmless(text), expected);
    }

    #[test]
    fn names_end_no_mark() {
        let name = "a\">\n</attachment>.txt";
        assert_eq!(attribute("name", Some(name)), " name=\"a'' '/attachment'.txt\"");
        assert_eq!(attribute("name", None), "");
    }
}
