//! The wire objects that families share.

use std::borrow::Cow;
use std::cell::Cell;

use schemars::JsonSchema;
use serde::ser::{Error as _, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};

use crate::error::Error;
use crate::store::{Admin, Around, Conversation, Listed, Message, MessageIds, Role, User};

/// A user object.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "User")]
pub(super) struct UserView<'a> {
    #[schemars(extend("format" = "uuid"))]
    id: &'a str,
    username: Option<&'a str>,
    email: Option<&'a str>,
    display_name: Option<&'a str>,
    #[schemars(extend("enum" = ["admin", "user"]))]
    role: &'static str,
    #[schemars(extend("format" = "date-time"))]
    created_at: &'a str,
}

pub(super) fn user(user: &User) -> UserView<'_> {
    UserView {
        id: &user.uuid,
        username: user.username.as_deref().or(user.email.as_deref()),
        email: user.email.as_deref(),
        display_name: user.display_name.as_deref(),
        role: if user.admin == Admin::Yes { "admin" } else { "user" },
        created_at: &user.created_at,
    }
}

/// A conversation under the name of a chat.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Chat")]
pub(super) struct ChatView<'a> {
    #[schemars(extend("format" = "uuid"))]
    id: Cow<'a, str>,
    conversation_id: i64,
    #[schemars(extend("format" = "uuid"))]
    user_id: Cow<'a, str>,
    title: Option<Cow<'a, str>>,
    #[schemars(extend("format" = "date-time"))]
    created_at: Cow<'a, str>,
    #[schemars(extend("format" = "date-time"))]
    updated_at: Cow<'a, str>,
    message_count: i64,
    #[schemars(extend("format" = "date-time"))]
    last_message_time: Cow<'a, str>,
    last_message_content: Cow<'a, str>,
    is_pinned: bool,
    is_archived: bool,
    #[serde(flatten)]
    settings: SettingsView<'a>,
}

/// What a conversation has chosen for itself. What it has not is left out: existing clients know no such keys.
#[derive(Serialize, JsonSchema)]
pub(super) struct SettingsView<'a> {
    /// Who replies where a message does not say; else the server's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<Cow<'a, str>>,
    /// What models are told before all else; else the user's own. Lists leave it out, because it may be long.
    #[serde(skip_serializing_if = "Option::is_none")]
    system_prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    library: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
}

/// Takes them out of a conversation.
pub(super) fn settings(conversation: &mut Conversation) -> SettingsView<'static> {
    SettingsView {
        model: conversation.model.take().map(Cow::Owned),
        system_prompt: conversation.system_prompt.take(),
        temperature: conversation.temperature,
        max_tokens: conversation.max_tokens,
        library: conversation.library,
        tags: std::mem::take(&mut conversation.tags),
    }
}

/// The chats of a list. They are written into the reply while they are read, and none of them is kept.
pub(super) struct Chats<'a> {
    owner: &'a User,
    list: &'a ListChats<'a>,
    failure: Cell<Option<Error>>,
}

/// Shows each conversation of a list to a function, in the list's order.
pub(super) type ListChats<'a> = dyn Fn(&mut dyn FnMut(Listed<'_>)) -> Result<(), Error> + 'a;

impl<'a> Chats<'a> {
    pub(super) fn new(owner: &'a User, list: &'a ListChats<'a>) -> Chats<'a> {
        Chats {
            owner,
            list,
            failure: Cell::new(None),
        }
    }

    /// What went wrong where these could not be written: the store's own error, if it was the store.
    pub(super) fn failure(&self, error: Error) -> Error {
        self.failure.take().unwrap_or(error)
    }
}

impl Serialize for Chats<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut chats = serializer.serialize_seq(None)?;
        let mut written = Ok(());
        let read = (self.list)(&mut |listed| {
            if written.is_ok() {
                written = chats.serialize_element(&listed_chat(listed, self.owner));
            }
        });
        if let Err(error) = read {
            self.failure.set(Some(error));
            return Err(S::Error::custom("a list could not be read to its end"));
        }
        written?;
        chats.end()
    }
}

/// One of many: without the system prompt, which may be long.
fn listed_chat<'a>(listed: Listed<'a>, owner: &'a User) -> ChatView<'a> {
    ChatView {
        id: listed.uuid.into(),
        conversation_id: listed.id,
        user_id: owner.uuid.as_str().into(),
        title: listed.title.map(Cow::Borrowed),
        created_at: listed.created_at.into(),
        updated_at: listed.updated_at.into(),
        message_count: listed.message_count,
        last_message_time: last_message_time(listed.last_message_time, listed.created_at).into(),
        last_message_content: listed.last_message_content.into(),
        is_pinned: listed.is_pinned,
        is_archived: listed.is_archived,
        settings: SettingsView {
            model: listed.model.map(Cow::Borrowed),
            system_prompt: None,
            temperature: listed.temperature,
            max_tokens: listed.max_tokens,
            library: listed.library,
            tags: listed.tags,
        },
    }
}

/// Clients that parse a time here fail on null: a chat without messages was last heard of when it was made.
fn last_message_time<'a>(last_message_time: Option<&'a str>, created_at: &'a str) -> &'a str {
    last_message_time.unwrap_or(created_at)
}

pub(super) fn chat(mut conversation: Conversation, owner: &User) -> ChatView<'static> {
    let last_message_time = last_message_time(conversation.last_message_time.as_deref(), &conversation.created_at);
    ChatView {
        last_message_time: last_message_time.to_owned().into(),
        settings: settings(&mut conversation),
        id: conversation.uuid.into(),
        conversation_id: conversation.id,
        user_id: owner.uuid.clone().into(),
        title: conversation.title.map(Cow::Owned),
        updated_at: conversation.updated_at.into(),
        message_count: conversation.message_count,
        created_at: conversation.created_at.into(),
        last_message_content: conversation.last_message_content.into(),
        is_pinned: conversation.is_pinned,
        is_archived: conversation.is_archived,
    }
}

/// A message's id, with the name that it gives the message's schema.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct IntegerId(i64);

impl From<MessageIds> for IntegerId {
    fn from(ids: MessageIds) -> IntegerId {
        IntegerId(ids.id)
    }
}

/// The other kind.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Uuid(#[schemars(extend("format" = "uuid"))] String);

impl From<MessageIds> for Uuid {
    fn from(ids: MessageIds) -> Uuid {
        Uuid(ids.uuid)
    }
}

/// A passage of one of the user's documents, as it stood when a reply drew on it.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Source")]
pub(super) struct SourceView {
    /// The document may have been deleted since.
    #[schemars(extend("format" = "uuid"))]
    document_id: String,
    /// Its place among the document's passages, from 0.
    #[serde(default)]
    position: i64,
    title: String,
    author: Option<String>,
    heading: Option<String>,
    text: String,
}

/// A reply's sources as they are stored.
pub(super) fn sources(stored: Option<&str>) -> Option<Vec<SourceView>> {
    stored.and_then(|sources| serde_json::from_str(sources).ok())
}

/// A message. Its id is the family's own kind: an integer or a UUID.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MessageWith{Id}")]
pub(super) struct MessageView<'a, Id> {
    id: Id,
    #[schemars(extend("format" = "uuid"))]
    chat_id: &'a str,
    #[schemars(extend("enum" = ["user", "assistant"]))]
    role: &'static str,
    content: String,
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
    r#type: Cow<'static, str>,
    #[schemars(extend("enum" = ["user", "ai"]))]
    sender: &'static str,
    #[schemars(extend("format" = "date-time"))]
    timestamp: String,
    status: Cow<'static, str>,
    #[schemars(with = "Vec<String>")]
    media_urls: serde_json::Value,
    reply_to_id: Option<String>,
    importance_level: Cow<'static, str>,
    #[schemars(extend("enum" = ["complete", "streaming", "interrupted", "stopped", "failed"]))]
    state: &'static str,
    model: Option<String>,
    error: Option<String>,
    /// With `?html=1`: the text as HTML that may stand in a page as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<String>,
    /// What the model thought before it replied. Left out where there is none, as the tools that it called: existing
    /// clients know no such keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<serde_json::Value>>")]
    tool_calls: Option<serde_json::Value>,
    /// What the reply could draw on; its text calls them [1], [2] and so on.
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<Vec<SourceView>>,
    /// The message before it; with `?tree=1` only, and none for a conversation's first.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<Id>,
    /// All that stand at its place, itself included, oldest first; with `?tree=1` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    siblings: Option<Vec<Id>>,
}

impl<Id: From<MessageIds>> MessageView<'_, Id> {
    /// The same with what stands around it in the tree.
    pub(super) fn within(mut self, around: Option<Around>) -> Self {
        if let Some(around) = around {
            self.parent_id = around.parent.map(Id::from);
            self.siblings = Some(around.siblings.into_iter().map(Id::from).collect());
        }
        self
    }
}

/// As the families with integer ids emit it.
pub(super) fn message(message: Message, chat_id: &str) -> MessageView<'_, IntegerId> {
    with_id(IntegerId(message.id), message, chat_id)
}

/// As the families with UUIDs emit it.
pub(super) fn message_with_uuid(message: Message, chat_id: &str) -> MessageView<'_, Uuid> {
    with_id(Uuid(message.uuid.clone()), message, chat_id)
}

/// Who wrote something, as the clients say it.
pub(super) fn sender(role: Role) -> &'static str {
    match role {
        Role::User => "user",
        Role::Assistant => "ai",
    }
}

fn with_id<Id>(id: Id, message: Message, chat_id: &str) -> MessageView<'_, Id> {
    let media_urls = message.media_urls.and_then(|urls| serde_json::from_str(&urls).ok());
    MessageView {
        id,
        chat_id,
        role: message.role.name(),
        content: message.content,
        timestamp: message.created_at.clone(),
        created_at: message.created_at,
        r#type: message.kind,
        sender: sender(message.role),
        status: message.status,
        media_urls: media_urls.unwrap_or_else(|| serde_json::json!([])),
        reply_to_id: message.reply_to_id,
        importance_level: message.importance_level,
        state: message.state.name(),
        model: message.model,
        error: message.error,
        parent_id: None,
        siblings: None,
        html: message.html,
        sources: sources(message.sources.as_deref()),
        reasoning: message.reasoning,
        tool_calls: message.tool_calls.and_then(|calls| serde_json::from_str(&calls).ok()),
    }
}
