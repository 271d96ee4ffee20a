//! What a turn is asked with, and what comes of it.

use super::{Listen, Opening};
use crate::error::Error;
use crate::models::{Choice, Failure, Prompt, ToolCall};
use crate::store::{Allowance, Conversation, MessageDetails, User};

/// A message to be stored and answered.
pub struct Ask {
    /// Who sends it.
    pub user: User,
    /// Where it goes.
    pub to: Target,
    /// What it says.
    pub text: String,
    /// Uploads of the sender's that go with it.
    pub attachments: Vec<i64>,
    /// Who answers.
    pub choice: Choice,
    /// Whether the reply is to draw on the sender's documents; `None`: as the conversation says.
    pub library: Option<bool>,
    /// Why it may be sent.
    pub admission: Admission,
    /// What the model is asked with, where the sender brings the whole conversation along; without it, the branch.
    pub prompt: Option<Prompt>,
    /// What the sender says besides.
    pub details: MessageDetails,
    /// Whether it waits for a reply that is being written in its conversation, instead of being refused.
    pub queue: bool,
}

/// That a message may be sent as far as was known before its turn began, and what it counts against.
#[derive(Clone, Copy, Debug, Default)]
pub struct Admission {
    /// The API key that it is sent with, whose budget pays for the reply.
    pub api_key: Option<i64>,
    /// What its sender may send.
    pub allowance: Allowance,
}

/// Where a message goes.
#[derive(Clone, Debug)]
pub enum Target {
    /// A conversation that does not exist yet; it is named after the message.
    New,
    /// One of the sender's conversations.
    Existing {
        /// Its integer id.
        id: i64,
        /// Its UUID.
        uuid: String,
        /// Its own system prompt, which goes before the user's.
        system_prompt: Option<String>,
        /// The sampling temperature that it has chosen.
        temperature: Option<f64>,
        /// The most tokens that its replies may have.
        max_tokens: Option<u32>,
        /// Whether its replies draw on the owner's documents.
        library: bool,
        /// What the turn begins with.
        opening: Opening,
    },
}

impl Target {
    /// A conversation in which a turn begins with something else than a new message.
    pub fn opened_by(opening: Opening, conversation: Conversation) -> Target {
        Target::Existing {
            id: conversation.id,
            uuid: conversation.uuid,
            system_prompt: conversation.system_prompt,
            temperature: conversation.temperature,
            max_tokens: conversation.max_tokens,
            library: conversation.library,
            opening,
        }
    }
}

impl Ask {
    pub(super) fn wants_library(&self) -> bool {
        let of_conversation = matches!(self.to, Target::Existing { library: true, .. });
        self.library.unwrap_or(of_conversation)
    }

    /// The model as the reply's row names it until it is known which one ran. The name it is asked by may be empty (the
    /// server's own default); what ran has a name.
    pub(super) fn model(&self) -> Option<String> {
        Some(self.choice.model.clone()).filter(|name| !name.is_empty())
    }
}

impl From<Conversation> for Target {
    fn from(conversation: Conversation) -> Target {
        Target::opened_by(Opening::Message, conversation)
    }
}

/// A turn that has come to its end.
#[derive(Clone, Debug)]
pub struct Done {
    /// The conversation's integer id.
    pub conversation_id: i64,
    /// Its UUID.
    pub conversation_uuid: String,
    /// The stored question.
    pub request_message_id: i64,
    /// The stored reply.
    pub response_message_id: i64,
    /// The reply.
    pub text: String,
    /// The tools that its model called.
    pub tools: Vec<ToolCall>,
    /// Why it ended, in the provider's word if it said so.
    pub finish_reason: Option<String>,
}

/// Why a turn did not end with a reply.
#[derive(Debug)]
pub enum Fault {
    /// Nothing is stored, or the conversation was deleted meanwhile.
    Store(Error),
    /// The question is stored, but a reply to it could not be begun, or not be kept. Whoever sends the question again
    /// has it there twice.
    Kept(Error),
    /// The model's; the question is stored, and what had come of the reply.
    Model(Failure),
}

/// What is done with the end of a turn. Called once, on whatever thread the turn ends.
pub type Answer = Box<dyn FnOnce(Result<Done, Fault>) + Send>;

/// Who waits for a turn.
pub(super) struct Asker {
    pub(super) answer: Answer,
    /// Reads along from the beginning.
    pub(super) listener: Option<Box<dyn Listen>>,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Store(error)
    }
}
