//! What a model is told: the system prompt and the newest turns of the branch that fit a budget of tokens.

use super::attached::{Enclosed, Enclosures};
use crate::models::{PromptMessage, Role};
use crate::store::{self, Utterance};

/// Tokens of a prompt, by the estimate of four characters to a token. Small local models have windows of 8 192 tokens,
/// of which the reply needs a part.
const TOKENS_MAX: usize = 6_000;

/// The messages of a prompt. `branch` is oldest first and ends with the user's new message, which is always kept,
/// however long it is, and does not count as one of the `messages_max`. What is `enclosed` goes with its message. A
/// model that is given the beginning of its reply, `begun`, goes on from there.
pub(super) fn build(
    system_prompt: Option<&str>,
    branch: &[Utterance],
    begun: Option<&str>,
    enclosed: Enclosures,
    messages_max: usize,
) -> Vec<PromptMessage> {
    match branch.split_last() {
        Some((question, history)) => assemble(system_prompt, history, Some(question), begun, enclosed, messages_max),
        None => assemble(system_prompt, branch, None, begun, enclosed, messages_max),
    }
}

/// The same before there is a new message: what the next one will be sent behind, if it is short.
pub(super) fn before_next(
    system_prompt: Option<&str>,
    history: &[Utterance],
    enclosed: Enclosures,
    messages_max: usize,
) -> Vec<PromptMessage> {
    assemble(system_prompt, history, None, None, enclosed, messages_max)
}

/// A prompt as people read it: of pictures, their names.
pub(super) fn text(prompt: &[PromptMessage]) -> String {
    let lines: Vec<String> = prompt
        .iter()
        .map(|message| {
            let speaker = match message.role {
                Role::System => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
                Role::Tool => "tool",
            };
            let pictures = message.images.iter().map(|image| format!("[{}]", image.filename));
            let parts = Some(message.content.clone()).filter(|text| !text.is_empty());
            let parts: Vec<String> = parts.into_iter().chain(pictures).collect();
            format!("{speaker}: {}", parts.join("\n\n"))
        })
        .collect();
    lines.join("\n---\n")
}

fn assemble(
    system_prompt: Option<&str>,
    history: &[Utterance],
    question: Option<&Utterance>,
    begun: Option<&str>,
    mut enclosed: Enclosures,
    messages_max: usize,
) -> Vec<PromptMessage> {
    let says_something = |message: &&Utterance| !message.content.is_empty() || enclosed.contains_key(&message.id);
    let system = system_prompt.filter(|prompt| !prompt.trim().is_empty());
    let fixed = system
        .into_iter()
        .chain(question.map(|question| question.content.as_str()))
        .chain(begun);
    let documents = question.map_or(0, |question| documents_tokens(&enclosed, question));
    let mut left = TOKENS_MAX.saturating_sub(fixed.map(tokens).sum::<usize>() + documents);
    let mut kept: Vec<&Utterance> = Vec::new();
    for message in history.iter().rev().filter(says_something) {
        let tokens = tokens(&message.content) + documents_tokens(&enclosed, message);
        if tokens > left || kept.len() == messages_max {
            break;
        }
        left -= tokens;
        kept.push(message);
    }
    // A reply whose question was left out answers nothing, and some models want a user to speak first.
    while kept
        .last()
        .is_some_and(|message| message.role == store::Role::Assistant && message.parent_id.is_some())
    {
        kept.pop();
    }
    let system = system.map(|prompt| PromptMessage::text(Role::System, prompt));
    let question = question.filter(says_something);
    let spoken = kept.into_iter().rev().chain(question).map(|message| {
        let role = match message.role {
            store::Role::User => Role::User,
            store::Role::Assistant => Role::Assistant,
        };
        let Enclosed { images, documents } = enclosed.remove(&message.id).unwrap_or_default();
        PromptMessage {
            images,
            documents,
            ..PromptMessage::text(role, message.content.as_str())
        }
    });
    let begun = begun.map(|begun| PromptMessage::text(Role::Assistant, begun));
    system.into_iter().chain(spoken).chain(begun).collect()
}

/// Those of the documents of a message, as texts: what a file itself takes only the provider knows.
fn documents_tokens(enclosed: &Enclosures, message: &Utterance) -> usize {
    let documents = enclosed
        .get(&message.id)
        .map_or(&[][..], |enclosed| &enclosed.documents);
    documents.iter().map(|document| tokens(&document.text)).sum()
}

fn tokens(text: &str) -> usize {
    text.chars().count().div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A branch of these texts, `> ` before those of the user.
    fn branch(texts: &[&str]) -> Vec<Utterance> {
        let ids = 1..;
        let message = |(id, text): (i64, &&str)| Utterance {
            id,
            parent_id: Some(id - 1).filter(|parent| *parent > 0),
            role: if text.starts_with("> ") {
                store::Role::User
            } else {
                store::Role::Assistant
            },
            content: text.trim_start_matches("> ").to_owned(),
            attachments: Vec::new(),
        };
        ids.zip(texts).map(message).collect()
    }

    #[track_caller]
    fn check(system: Option<&str>, texts: &[&str], messages_max: usize, wanted: &[&str]) {
        let prompt = build(system, &branch(texts), None, Enclosures::new(), messages_max);
        let got: Vec<&str> = prompt.iter().map(|message| message.content.as_str()).collect();
        let lengths = |texts: &[&str]| texts.iter().map(|text| text.len()).collect::<Vec<usize>>();
        assert!(
            got == wanted,
            "lengths {:?} instead of {:?}",
            lengths(&got),
            lengths(wanted)
        );
    }

    #[test]
    fn the_newest_turns_that_fit() {
        let long = "x".repeat(TOKENS_MAX * 4);
        let half = "y".repeat(TOKENS_MAX * 2 - 4);
        check(None, &["> old", &long, "> a", "", "> new"], 100, &["a", "new"]);
        check(None, &["> old", "b", &format!("> {long}")], 100, &[&long]);
        check(None, &["> a", &half, "> b", &half, "> new"], 100, &["b", &half, "new"]);
        check(
            None,
            &["> a", "b", "> c", "d", "> new"],
            100,
            &["a", "b", "c", "d", "new"],
        );
        check(None, &["> a", "b", "> c", "d", "> new"], 2, &["c", "d", "new"]);
        check(None, &["> m"; 9], 3, &["m"; 4]);
    }

    #[test]
    fn the_system_prompt_is_kept_and_counted() {
        let long = "s".repeat(TOKENS_MAX * 4);
        check(
            Some("be kind"),
            &["> a", "b", "> new"],
            100,
            &["be kind", "a", "b", "new"],
        );
        check(Some(&long), &["> a", "b", "> new"], 100, &[&long, "new"]);
        check(Some(" "), &["> new"], 100, &["new"]);
        check(Some("be kind"), &[], 100, &["be kind"]);
    }

    #[test]
    fn what_has_begun_of_the_reply_is_counted() {
        let half = "x".repeat(TOKENS_MAX * 2);
        let texts = ["> old", &half, "> a", "b", "> new"];
        for (begun, wanted) in [
            (half.as_str(), &["a", "b", "new", &half][..]),
            ("x", &["old", &half, "a", "b", "new", "x"]),
        ] {
            let prompt = build(None, &branch(&texts), Some(begun), Enclosures::new(), 100);
            let got: Vec<&str> = prompt.iter().map(|message| message.content.as_str()).collect();
            assert!(got == wanted, "{} messages", got.len());
            assert_eq!(prompt.last().unwrap().role, Role::Assistant);
        }
    }

    #[test]
    fn no_reply_stands_without_its_question() {
        check(None, &["> a", "b", "> c", "d", "> new"], 3, &["c", "d", "new"]);
        check(None, &["> a", "b", "> new"], 1, &["new"]);
        // Nothing stands before a greeting.
        check(None, &["welcome", "> new"], 100, &["welcome", "new"]);
    }

    #[test]
    fn what_the_next_message_is_sent_behind() {
        let texts = ["> Hi there", "Hello", "> u", "v"];
        let before = before_next(Some("be kind"), &branch(&texts), Enclosures::new(), 3);
        assert_eq!(text(&before), "system: be kind\n---\nuser: u\n---\nassistant: v");
        let mut asked = texts.to_vec();
        asked.push("> next");
        let sent = build(Some("be kind"), &branch(&asked), None, Enclosures::new(), 3);
        assert_eq!(before, sent[..sent.len() - 1]);
        assert_eq!(text(&before_next(None, &[], Enclosures::new(), 100)), "");
    }
}
