//! Reading recordings: the lines of a session, and bodies that the recorder cut off.

use serde_json::Value;

/// One recorded exchange.
pub(super) struct Entry {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) label: String,
    pub(super) status: u16,
    pub(super) challenged: bool,
    pub(super) body: String,
}

impl Entry {
    /// `METHOD path [label]`, with the recording's ids replaced by their names.
    pub(super) fn key(&self, names: &[Name]) -> String {
        let path = names.iter().fold(self.path.clone(), |path, name| {
            path.replace(&name.recorded, name.placeholder)
        });
        format!("{} {path} [{}]", self.method, self.label)
    }
}

/// Reads `METHOD path  [label] -> status`, `H headers`, `B body`; a body may go over several lines.
pub(super) fn parse(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut in_body = false;
    for line in text.lines() {
        if let Some(entry) = parse_first(line) {
            entries.push(entry);
            in_body = false;
        } else if let Some(entry) = entries.last_mut() {
            if let Some(headers) = line.strip_prefix("    H ") {
                entry.challenged = headers.contains("'www-authenticate': 'Bearer'");
            } else if let Some(body) = line.strip_prefix("    B ") {
                entry.body = body.to_string();
                in_body = true;
            } else if in_body && line.starts_with("    ") {
                entry.body.push_str(line);
            }
        }
    }
    entries
}

fn parse_first(line: &str) -> Option<Entry> {
    let (request, status) = line.rsplit_once("] -> ")?;
    let (target, label) = request.split_once("  [")?;
    let (method, path) = target.split_once(' ')?;
    let status = status.parse().ok()?;
    Some(Entry {
        method: method.into(),
        path: path.into(),
        label: label.into(),
        status,
        challenged: false,
        body: String::new(),
    })
}

/// Something that has another id in the recording than with us.
pub(super) struct Name {
    pub(super) recorded: String,
    pub(super) ours: String,
    pub(super) placeholder: &'static str,
}

/// The JSON of a recorded body, and whether the recorder cut it off (`…`). One that was cut is closed after its last
/// whole array element, or, if it was cut within the first of them, after its last whole member.
pub(super) fn recorded_json(body: &str) -> Option<(Value, bool)> {
    if let Ok(value) = serde_json::from_str(body) {
        return Some((value, false));
    }
    let mut open = Vec::new();
    let mut quoted = false;
    let mut escaped = false;
    let (mut element, mut member) = (None, None);
    for (at, symbol) in body.char_indices() {
        let close = |text: &str| text.to_string() + &open.iter().rev().collect::<String>();
        match symbol {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => member = Some(close(&body[..at])),
            '{' if !quoted => open.push('}'),
            '[' if !quoted => open.push(']'),
            '}' | ']' if !quoted => {
                open.pop();
                if open.last() == Some(&']') {
                    element = Some(body[..=at].to_string() + &open.iter().rev().collect::<String>());
                }
            }
            _ => {}
        }
    }
    Some((serde_json::from_str(&element.or(member)?).ok()?, true))
}

#[test]
fn lines_have_a_status_a_challenge_and_a_body() {
    let text = "GET /a  [x] -> 200\n    H {'a': 'b'}\n    B {\"a\":1}\n\
        POST /b  [] -> 401\n    H {'www-authenticate': 'Bearer'}\n    B \n";
    let entries = parse(text);
    assert_eq!(
        (entries.len(), entries[0].key(&[]).as_str(), entries[1].challenged),
        (2, "GET /a [x]", true)
    );
    assert_eq!((entries[0].status, entries[0].body.as_str()), (200, "{\"a\":1}"));
}

#[test]
fn cut_off_bodies_are_closed() {
    let check = |body: &str, wanted: &str| {
        let wanted: Value = serde_json::from_str(wanted).expect("JSON");
        assert_eq!(recorded_json(body), Some((wanted, true)), "{body}");
    };
    check(
        r#"{"chats":[{"id":"a","n":1},{"id":"b","n":2},{"id":"c","messa…"#,
        r#"{"chats":[{"id":"a","n":1},{"id":"b","n":2}]}"#,
    );
    check(
        r#"{"message":{"id":2,"price":3.4e-05},"usage_details":[{"id":1,"scope":"title","created_at":"202…"#,
        r#"{"message":{"id":2,"price":3.4e-05},"usage_details":[{"id":1,"scope":"title"}]}"#,
    );
    assert!(recorded_json("OK").is_none());
    assert!(recorded_json("AAA").is_none());
}
