//! The wire objects of ChatAI: conversations, messages with what they cost, and the calls that make up the cost.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::api::views::{self, SettingsView, SourceView};
use crate::error::Error;
use crate::pricing;
use crate::store::{self, Around, Attachment, Conversation, Message, Read, Role, UsageDetail};

/// A conversation.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Conversation")]
pub(super) struct ConversationView {
    id: i64,
    #[schemars(extend("format" = "uuid"))]
    chat_id: String,
    title: Option<String>,
    summary: Option<String>,
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
    #[schemars(extend("format" = "date-time"))]
    updated_at: String,
    message_count: i64,
    #[serde(flatten)]
    settings: SettingsView<'static>,
}

/// One of many: without what may be long.
pub(super) fn listed_conversation(mut conversation: Conversation) -> ConversationView {
    conversation.system_prompt = None;
    self::conversation(conversation)
}

pub(super) fn conversation(mut conversation: Conversation) -> ConversationView {
    ConversationView {
        settings: views::settings(&mut conversation),
        id: conversation.id,
        chat_id: conversation.uuid,
        title: conversation.title,
        summary: conversation.summary,
        created_at: conversation.created_at,
        updated_at: conversation.updated_at,
        message_count: conversation.message_count,
    }
}

/// A message. What it cost is the sum of the calls that were made for it; a question cost nothing by itself.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MessageWithCost")]
pub(super) struct MessageView {
    id: i64,
    conversation_id: i64,
    request_id: Option<i64>,
    #[schemars(extend("enum" = ["user", "assistant"]))]
    role: &'static str,
    text: String,
    summary: Option<String>,
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    cached_tokens: Option<i64>,
    model: Option<String>,
    price: Option<f64>,
    attachments: Vec<AttachmentView>,
    #[schemars(extend("enum" = ["complete", "streaming", "interrupted", "stopped", "failed"]))]
    state: &'static str,
    error: Option<String>,
    /// What the model thought before it replied. Left out where there is none, as the tools that it called.
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
    parent_id: Option<i64>,
    /// All that stand at its place, itself included, oldest first; with `?tree=1` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    siblings: Option<Vec<i64>>,
    /// With `?html=1`: the text as HTML that may stand in a page as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Attachment")]
struct AttachmentView {
    id: i64,
    filename: String,
    content_type: String,
    size: i64,
}

/// One call of a model.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UsageDetail")]
pub(super) struct UsageView {
    id: i64,
    message_id: i64,
    #[schemars(extend("enum" = ["title", "intent", "summary", "tool", "final"]))]
    scope: &'static str,
    model: String,
    input_tokens: i64,
    output_tokens: i64,
    cached_tokens: i64,
    estimated: bool,
    price: f64,
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
}

pub(super) fn usage(detail: &UsageDetail) -> UsageView {
    UsageView {
        id: detail.id,
        message_id: detail.message_id,
        scope: detail.scope.name(),
        model: detail.model.clone(),
        input_tokens: detail.input_tokens,
        output_tokens: detail.output_tokens,
        cached_tokens: detail.cached_tokens,
        estimated: detail.is_estimated,
        price: detail.price,
        created_at: detail.created_at.clone(),
    }
}

/// All that is shown with messages: one query each for all of them.
pub(super) struct Parts {
    usage: Vec<UsageDetail>,
    attachments: Vec<Attachment>,
    /// The model that answered a question.
    answered_by: HashMap<i64, String>,
    /// What stands around each in the tree, where that was asked for.
    around: HashMap<i64, Around>,
}

impl Parts {
    pub(super) fn read(read: &Read<'_>, messages: &[Message]) -> Result<Parts, Error> {
        let (questions, replies): (Vec<&Message>, Vec<&Message>) =
            messages.iter().partition(|message| message.role == Role::User);
        let [questions, replies] = [questions, replies].map(|list| list.iter().map(|m| m.id).collect::<Vec<i64>>());
        let all: Vec<i64> = messages.iter().map(|message| message.id).collect();
        Ok(Parts {
            usage: store::list_usage(read, &replies)?,
            attachments: store::list_attachments(read, &all)?,
            answered_by: store::list_reply_models(read, &questions)?.into_iter().collect(),
            around: HashMap::new(),
        })
    }

    /// The same with what stands around the messages in the tree.
    pub(super) fn within(mut self, around: HashMap<i64, Around>) -> Parts {
        self.around = around;
        self
    }

    /// The calls, in the order they were made.
    pub(super) fn usage(&self) -> Vec<UsageView> {
        self.usage.iter().map(usage).collect()
    }

    /// The messages that it was read for, with it.
    pub(super) fn messages(self, messages: Vec<Message>) -> Vec<MessageView> {
        let mut costs: HashMap<i64, Cost> = HashMap::new();
        for detail in &self.usage {
            costs.entry(detail.message_id).or_default().add(detail);
        }
        let mut attachments: HashMap<i64, Vec<AttachmentView>> = HashMap::new();
        for attachment in self.attachments {
            let of_message = attachments.entry(attachment.message_id.unwrap_or_default());
            of_message.or_default().push(AttachmentView {
                id: attachment.id,
                filename: attachment.filename,
                content_type: attachment.content_type,
                size: attachment.size,
            });
        }
        let mut answered_by = self.answered_by;
        let mut around = self.around;
        let view = |message: Message| {
            let is_reply = message.role == Role::Assistant;
            let around = around.remove(&message.id);
            let cost = is_reply.then(|| costs.remove(&message.id).unwrap_or_default());
            MessageView {
                id: message.id,
                conversation_id: message.conversation_id,
                request_id: message.parent_id.filter(|_| is_reply),
                role: message.role.name(),
                text: message.content,
                summary: message.summary,
                created_at: message.created_at,
                input_tokens: cost.map(|cost| cost.input_tokens),
                output_tokens: cost.map(|cost| cost.output_tokens),
                cached_tokens: cost.map(|cost| cost.cached_tokens),
                model: message.model.or_else(|| answered_by.remove(&message.id)),
                price: cost.map(|cost| pricing::round(cost.price)),
                attachments: attachments.remove(&message.id).unwrap_or_default(),
                state: message.state.name(),
                error: message.error,
                reasoning: message.reasoning,
                tool_calls: message.tool_calls.and_then(|calls| serde_json::from_str(&calls).ok()),
                parent_id: around.as_ref().and(message.parent_id),
                siblings: around.map(|around| around.siblings.iter().map(|ids| ids.id).collect()),
                html: message.html,
                sources: views::sources(message.sources.as_deref()),
            }
        };
        messages.into_iter().map(view).collect()
    }
}

/// What the calls for one reply add up to; nothing for a reply that ended before it was accounted for.
#[derive(Clone, Copy, Default)]
struct Cost {
    input_tokens: i64,
    output_tokens: i64,
    cached_tokens: i64,
    price: f64,
}

impl Cost {
    fn add(&mut self, detail: &UsageDetail) {
        self.input_tokens = self.input_tokens.saturating_add(detail.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(detail.output_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(detail.cached_tokens);
        self.price += detail.price;
    }
}
