//! The log of the `llm` command line tool: each reply is a question and an answer, and what one conversation has is a
//! line of them.

use std::path::Path;

use serde_json::Value;

use super::files::Files;
use super::intake::Intake;
use super::malformed;
use super::sources::moment;
use super::thread::{Call, Node, Said, SentFile, Speaker, Thread};
use crate::error::Error;
use crate::store::{LlmConversation, LlmItem, LlmLogs, LlmResponse};

/// What the report calls it.
pub(super) const NAME: &str = "llm";

/// What databases begin with.
pub(super) const MAGIC: &[u8] = b"SQLite format 3\0";

/// Reads all of it, from a copy that nobody else uses.
///
/// # Errors
/// [`crate::error::Kind::Malformed`] when it is another database, or damaged; those of the store.
pub(super) fn import(intake: &mut Intake<'_>, path: &Path) -> Result<(), Error> {
    let logs = LlmLogs::open(path).map_err(|error| malformed("it is a damaged database").caused_by(error))?;
    let logs = logs.ok_or_else(|| {
        malformed("it is a database, but not llm's logs.db (a backup of Fireside is for: fireside restore)")
    })?;
    logs.read(|item| match item {
        LlmItem::Unreadable(id, reason) => {
            intake.refuse("conversation", Some(id), reason);
            Ok(())
        }
        LlmItem::Conversation(conversation) => intake.thread(thread(conversation), &Files::default()),
    })
}

fn thread(conversation: LlmConversation) -> Thread {
    let mut thread = Thread {
        id: Some(conversation.id),
        title: conversation.name,
        ..Thread::default()
    };
    for mut response in conversation.responses {
        let at = response.at.as_deref().and_then(moment);
        thread.created_at = thread.created_at.or(at);
        thread.updated_at = at.or(thread.updated_at);
        thread.system_prompt = thread.system_prompt.or_else(|| response.system.take());
        let parent = thread.nodes.last().map(|node| node.id.clone());
        let (question, answer) = (format!("{} prompt", response.id), response.id.clone());
        let (asked, said) = split(response);
        thread.nodes.push(Node {
            id: question.clone(),
            parent,
            at,
            said: Some(asked),
        });
        thread.nodes.push(Node {
            id: answer,
            parent: Some(question),
            at,
            said: Some(said),
        });
    }
    thread
}

fn split(response: LlmResponse) -> (Said, Said) {
    let mut asked = Said::new(Speaker::User, response.prompt);
    let attachments = response.attachments.iter().map(|path| {
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        SentFile::new(name, None)
    });
    let fragments = response
        .fragments
        .into_iter()
        .map(|(source, text)| SentFile::new(source, Some(text)));
    asked.files = attachments.chain(fragments).collect();
    let mut said = Said::new(Speaker::Model, response.response);
    said.model = response.model;
    said.calls.list = response
        .calls
        .into_iter()
        .map(|(name, arguments, result)| Call {
            name,
            arguments: serde_json::from_str(&arguments).unwrap_or(Value::String(arguments)),
            result,
        })
        .collect();
    (asked, said)
}
