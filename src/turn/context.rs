//! What a model is told: the newest messages of the branch that fit, oldest first, behind the system prompt.

use crate::models::{PromptMessage, Role};
use crate::store::{self, Message};

/// Tokens of history, by the estimate of four characters to a token. Small local models have windows of 8 192 tokens,
/// of which the reply needs a part.
const HISTORY_TOKENS_MAX: usize = 6_000;

/// The messages of a prompt. `branch` is oldest first and ends with the user's new message, which is always kept,
/// however long it is.
pub(super) fn build(system_prompt: Option<&str>, branch: &[Message], messages_max: usize) -> Vec<PromptMessage> {
    let mut left = HISTORY_TOKENS_MAX;
    let mut kept: Vec<PromptMessage> = Vec::new();
    // The new message does not count: `messages_max` is about those before it.
    for message in branch.iter().rev().filter(|message| !message.content.is_empty()) {
        let tokens = message.content.chars().count().div_ceil(4);
        if !kept.is_empty() && (tokens > left || kept.len() > messages_max) {
            break;
        }
        left = left.saturating_sub(tokens);
        let role = match message.role {
            store::Role::User => Role::User,
            store::Role::Assistant => Role::Assistant,
        };
        kept.push(PromptMessage {
            role,
            content: message.content.clone(),
            images: Vec::new(),
        });
    }
    if let Some(prompt) = system_prompt.filter(|prompt| !prompt.trim().is_empty()) {
        kept.push(PromptMessage {
            role: Role::System,
            content: prompt.to_owned(),
            images: Vec::new(),
        });
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(role: store::Role, content: &str) -> Message {
        Message {
            id: 1,
            uuid: String::new(),
            parent_id: None,
            role,
            content: content.to_owned(),
            state: store::State::Complete,
            model: None,
            error: None,
            kind: "text".to_owned(),
            media_urls: None,
            reply_to_id: None,
            status: "sent".to_owned(),
            importance_level: "normal".to_owned(),
            created_at: String::new(),
        }
    }

    fn texts(prompt: &[PromptMessage]) -> Vec<&str> {
        prompt.iter().map(|message| message.content.as_str()).collect()
    }

    #[test]
    fn the_newest_that_fit() {
        let long = "x".repeat(HISTORY_TOKENS_MAX * 4);
        let branch = [
            message(store::Role::User, "old"),
            message(store::Role::Assistant, &long),
            message(store::Role::User, "a"),
            message(store::Role::Assistant, ""),
            message(store::Role::User, "new"),
        ];
        assert_eq!(texts(&build(None, &branch, 100)), ["a", "new"]);
        assert_eq!(texts(&build(Some("be kind"), &branch, 1)), ["be kind", "a", "new"]);
        assert_eq!(texts(&build(Some(" "), &branch[..2], 100)), [long.as_str()]);
        let many: Vec<Message> = (0..9).map(|_| message(store::Role::User, "m")).collect();
        assert_eq!(build(None, &many, 3).len(), 4);
    }
}
