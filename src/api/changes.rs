//! What owners change about a conversation, through whichever door: its title, where it stands in lists, and what its
//! replies are made with.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::{Ctx, unknown_model};
use crate::error::{Error, Issue};
use crate::limits::{NAME_CHARS_MAX, PROMPT_CHARS_MAX, REPLY_TOKENS, TAG_CHARS_MAX, TAGS_MAX, TEMPERATURES};
use crate::store::{self, Conversation, ConversationPatch, Ref};

/// Fields that are not there stay as they are; `null` gives back to the server, or to the user, what the conversation
/// had chosen for itself.
#[derive(Deserialize, JsonSchema)]
pub(super) struct UpdateChat {
    #[serde(default)]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX))]
    title: Option<String>,
    #[serde(default)]
    is_pinned: Option<bool>,
    #[serde(default)]
    is_archived: Option<bool>,
    /// The model that replies where a message names none; null: the server's default.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>", length(max = NAME_CHARS_MAX))]
    model: Option<Option<String>>,
    /// What models are told before all else; null: the user's own, an empty one: nothing.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>", length(max = PROMPT_CHARS_MAX))]
    system_prompt: Option<Option<String>>,
    /// null: the model's own.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<f64>", range(min = *TEMPERATURES.start(), max = *TEMPERATURES.end()))]
    temperature: Option<Option<f64>>,
    /// The most tokens of a reply; null: as many as the model gives.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<u32>", range(min = *REPLY_TOKENS.start(), max = *REPLY_TOKENS.end()))]
    max_tokens: Option<Option<u32>>,
    /// Whether replies draw on the caller's documents; null: they do not.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<bool>")]
    library: Option<Option<bool>>,
    /// All of its tags, each once whatever its case; null: none.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<Vec<String>>", length(max = TAGS_MAX), inner(length(min = 1, max = TAG_CHARS_MAX)))]
    tags: Option<Option<Vec<String>>>,
}

/// Tells `null` from nothing.
pub(super) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// Changes one of the caller's conversations.
///
/// # Errors
/// [`crate::error::Kind::Invalid`] for a model that nobody serves, or a tag that says nothing; those of the store.
pub(super) fn update(ctx: &Ctx, which: Ref, body: UpdateChat) -> Result<Conversation, Error> {
    let model = body.model.map(|model| model.filter(|model| !model.trim().is_empty()));
    if let Some(Some(model)) = &model {
        let known = ctx.app.models.resolve(Some(model));
        known.map_err(|_| unknown_model(model))?;
    }
    let tags = body.tags.map(|tags| {
        let tags = tags.unwrap_or_default().into_iter().enumerate();
        let checked = tags.map(|(place, tag)| check_tag(&tag, &[json!("tags"), place.into()]));
        checked.collect::<Result<Vec<String>, Error>>()
    });
    let patch = ConversationPatch {
        title: body.title,
        is_pinned: body.is_pinned,
        is_archived: body.is_archived,
        model,
        system_prompt: body.system_prompt,
        temperature: body.temperature,
        max_tokens: body.max_tokens,
        library: body.library.map(Option::unwrap_or_default),
        tags: tags.transpose()?,
    };
    let (owner, now) = (ctx.user()?.id, ctx.now());
    ctx.app
        .store
        .write(move |tx| store::update_conversation(tx, owner, &which, &patch, &now))
}

/// A tag without the space around it. `at` is where it stands in the body.
///
/// # Errors
/// [`crate::error::Kind::Invalid`] when nothing is left of it, or it holds what no line of text does.
pub(super) fn check_tag(tag: &str, at: &[serde_json::Value]) -> Result<String, Error> {
    let trimmed = tag.trim();
    let (rule, msg) = if trimmed.is_empty() {
        ("string_too_short", "String should have at least 1 character")
    } else if trimmed.chars().any(char::is_control) {
        ("value_error", "A tag holds no control characters")
    } else {
        return Ok(trimmed.to_owned());
    };
    Err(Error::invalid(vec![Issue {
        rule: rule.into(),
        loc: [&[json!("body")], at].concat(),
        msg: msg.into(),
        input: tag.into(),
        ctx: None,
    }]))
}
