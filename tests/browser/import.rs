//! Conversations that a test brings in as an import would: more of them, and older ones, than it could write.

use serde_json::{Value, json};

use crate::rig::Page;

const ROWS: &str = "document.querySelectorAll('.row').length";

/// A conversation without messages, as an export has it.
pub(crate) fn conversation(title: &str, updated_at: &str) -> Value {
    let id = format!("00000000-0000-4000-8000-{:012x}", fnv(title));
    json!({
        "uuid": id, "title": title, "created_at": updated_at, "updated_at": updated_at, "messages": []
    })
}

/// A number of its own for each title.
fn fnv(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash & 0xffff_ffff_ffff
}

/// Brings conversations in as an import would, and shows them.
pub(crate) fn import(page: &Page, conversations: &[Value]) {
    let file = json!({
        "format": "fireside-export", "version": 1, "attachments": [], "documents": [], "conversations": conversations
    });
    page.eval(&format!(
        "(() => {{ const form = new FormData(); form.append('file', new File([{:?}], 'export.json')); \
         fetch('/import', {{ method: 'POST', body: form }}).then((reply) => reply.json()) \
         .then(({{ conversations }}) => (window.imported = conversations.imported)); }})()",
        file.to_string()
    ));
    page.wait("the import", &format!("window.imported === {}", conversations.len()));
    page.reload();
    page.wait("rows", &format!("{ROWS} > 0"));
}
