//! What a turn begins with: a new message, another one in the place of an earlier one, a question that is asked once more, or
//! a reply that broke off. Owns how that is stored; what is asked and answered then is the same for all of them.

use super::feed::Feed;
use super::reply::parse_tool_calls;
use super::{Ask, Done, Said, Start, Target, Turns};
use crate::error::{Error, Kind};
use crate::models::Delta;
use crate::store::{self, Message, NewConversation, NewMessage, Ref, Role, State, Tx};

/// Characters of a title that is taken from a message.
const TITLE_CHARS: usize = 50;

/// What a turn begins with in a conversation that is there.
#[derive(Clone, Debug)]
pub enum Opening {
    /// A new message, after all that is shown.
    Message,
    /// A message in the place of an earlier one, as a branch of its own, with the files of that one.
    Instead(Box<Message>),
    /// Nothing new: this question is answered once more.
    Again(i64),
    /// Nothing new: this reply, which broke off, goes on where it ended.
    Onward(i64),
}

/// The question once it is stored, and the reply that is to be written.
pub(super) struct Question {
    pub(super) conversation_id: i64,
    pub(super) conversation_uuid: String,
    pub(super) message_id: i64,
    /// Whether the turn began with it.
    pub(super) is_new: bool,
    /// Neither is known before the reply is stored.
    pub(super) reply_id: i64,
    pub(super) reply_uuid: String,
    /// The reply as it broke off, if it goes on.
    pub(super) partial: Option<Box<Message>>,
}

impl Turns {
    /// The job that stores a question, and its conversation if that is new, and counts it.
    pub(super) fn question(
        &self,
        conversation: &str,
        ask: &Ask,
    ) -> impl Fn(&Tx<'_>) -> Result<Question, Error> + Send + 'static + use<> {
        let title = title(&ask.text);
        let (now, admission) = (self.clock.now(), ask.admission);
        // Whoever has waited was let in before what went ahead was paid for.
        let waited_with = admission.api_key.filter(|_| ask.queue);
        let message = NewMessage {
            uuid: self.clock.uuid(),
            conversation_id: 0,
            user_id: ask.user.id,
            role: Role::User,
            content: ask.text.clone(),
            state: State::Complete,
            model: None,
            error: None,
            created_at: now.text(),
            details: ask.details.clone(),
        };
        let (target, attachments) = (ask.to.clone(), ask.attachments.clone());
        let conversation_uuid = conversation.to_owned();
        move |tx| {
            if let Some(api_key) = waited_with {
                store::check_budget(tx, api_key, &now.month_text())?;
            }
            store::count_message(tx, message.user_id, admission.allowance, now)?;
            let (conversation_id, opening) = match &target {
                Target::Existing { id, opening, .. } => (*id, opening),
                Target::New => {
                    let new = NewConversation {
                        user_id: message.user_id,
                        uuid: conversation_uuid.clone(),
                        title: Some(title.clone()),
                        created_at: message.created_at.clone(),
                    };
                    (store::insert_conversation(tx, &new)?, &Opening::Message)
                }
            };
            let message = NewMessage {
                conversation_id,
                ..message.clone()
            };
            let mut question = Question {
                conversation_id,
                conversation_uuid: conversation_uuid.clone(),
                message_id: 0,
                is_new: true,
                reply_id: 0,
                reply_uuid: String::new(),
                partial: None,
            };
            question.open(tx, opening, &message, &title)?;
            if !attachments.is_empty() {
                store::send_attachments(tx, message.user_id, question.message_id, &attachments)?;
            }
            Ok(question)
        }
    }
}

impl Question {
    /// Stores what the turn begins with, where that is something new.
    fn open(&mut self, tx: &Tx<'_>, opening: &Opening, message: &NewMessage, title: &str) -> Result<(), Error> {
        match opening {
            Opening::Message => self.message_id = store::insert_message(tx, message, None, Some(title))?,
            Opening::Instead(of) => {
                self.message_id = store::insert_sibling(tx, message, of)?;
                store::send_again(tx, of.id, self.message_id)?;
            }
            Opening::Again(id) => {
                self.message_id = *id;
                self.is_new = false;
            }
            Opening::Onward(id) => {
                store::find_conversation(tx, message.user_id, &Ref::Id(self.conversation_id))?;
                let partial = store::resume_reply(tx, message.user_id, *id)?;
                let missing = || Error::new(Kind::Conflict, "This message answers nothing");
                self.message_id = partial.parent_id.ok_or_else(missing)?;
                self.is_new = false;
                self.reply_id = partial.id;
                self.reply_uuid.clone_from(&partial.uuid);
                self.partial = Some(Box::new(partial));
            }
        }
        Ok(())
    }

    /// Stores the reply: below the question, or, if it goes on, where it is.
    pub(super) fn store_reply(&mut self, tx: &Tx<'_>, reply: &NewMessage) -> Result<(), Error> {
        let mut reply = NewMessage {
            conversation_id: self.conversation_id,
            ..reply.clone()
        };
        match &self.partial {
            None => {
                self.reply_id = store::insert_message(tx, &reply, Some(self.message_id), None)?;
                self.reply_uuid = reply.uuid;
            }
            // It is written, and saved as it comes.
            Some(_) if reply.state == State::Streaming => {}
            Some(partial) => {
                reply.content.insert_str(0, &partial.content);
                store::finish_message(tx, partial.id, &reply)?;
            }
        }
        Ok(())
    }

    /// Tells those who read along that the reply begins. Of one that goes on they are told what there is: whoever reads it
    /// from here on has all of it.
    pub(super) fn begin(&self, feed: &Feed, model: Option<String>) {
        feed.begin(Start {
            conversation_id: self.conversation_id,
            conversation_uuid: self.conversation_uuid.clone(),
            request_message_id: self.message_id,
            response_message_id: self.reply_id,
            model,
        });
        let said = self.said();
        if !said.reasoning.is_empty() {
            feed.take(Delta::Reasoning(&said.reasoning));
        }
        if !said.text.is_empty() {
            feed.take(Delta::Text(&said.text));
        }
        said.tools.iter().for_each(|call| feed.take(Delta::Tool(call)));
    }

    /// What had come of the reply before this turn.
    pub(super) fn said(&self) -> Said {
        let Some(partial) = &self.partial else {
            return Said::default();
        };
        Said {
            text: partial.content.clone(),
            reasoning: partial.reasoning.clone().unwrap_or_default(),
            tools: parse_tool_calls(partial.tool_calls.as_deref()),
        }
    }

    pub(super) fn done(self, said: Said) -> Done {
        Done {
            conversation_id: self.conversation_id,
            conversation_uuid: self.conversation_uuid,
            request_message_id: self.message_id,
            response_message_id: self.reply_id,
            text: said.text,
            tools: said.tools,
            finish_reason: None,
        }
    }
}

/// A conversation's title from its first message: the first 50 characters, and `...` if there are more.
fn title(message: &str) -> String {
    match message.char_indices().nth(TITLE_CHARS) {
        Some((end, _)) => format!("{}...", &message[..end]),
        None => message.to_owned(),
    }
}
