//! A turn from its question to its last word: with a model that never waits in one commit, else as it comes.

use std::time::Instant;

use super::feed::Feed;
use super::hub::{Event, Typing};
use super::live::Running;
use super::opening::Question;
use super::passing::spent;
use super::place::Place;
use super::reply::Reply;
use super::{Ask, Done, Fault, Target, Turns, passages, summary};
use crate::error::{Error, Kind};
use crate::models::{self, Delta, Prompt, PromptMessage, Stop};
use crate::store::{self, MessageDetails, NewMessage, Ref, Role, State, Tx};

/// What a model that never waits has said, and the job that stores it with its question.
struct Instantly<J> {
    text: String,
    /// The model that ran.
    model: String,
    job: J,
}

impl Turns {
    /// One commit for question and reply: a model that never waits leaves nothing to lose between them.
    pub(super) fn run_instant(&self, conversation: &str, ask: &Ask, feed: Option<&Feed>) -> Result<Done, Fault> {
        let Instantly { text, model, job } = self.instantly(conversation, ask)?;
        let (question, user_id) = (self.store.write(job)?, ask.user.id);
        if let Some(feed) = feed {
            question.begin(feed, Some(model));
            if !text.is_empty() {
                feed.take(Delta::Text(&text));
            }
        }
        self.announce_question(user_id, &question);
        self.announce(user_id, question.reply_id);
        let mut said = question.said();
        said.text.push_str(&text);
        Ok(question.done(said))
    }

    /// All that a message to a model that never waits writes, as a job for [`store::Store::write`] that has yet to be done:
    /// what storing it takes can be told from all that stands around it.
    ///
    /// # Errors
    /// The model's, and those of the store.
    pub fn instant_job(
        &self,
        ask: &Ask,
    ) -> Result<impl Fn(&Tx<'_>) -> Result<(), Error> + Send + 'static + use<>, Fault> {
        let conversation = match &ask.to {
            Target::New => self.clock.uuid(),
            Target::Existing { uuid, .. } => uuid.clone(),
        };
        let Instantly { job, .. } = self.instantly(&conversation, ask)?;
        Ok(move |tx: &Tx<'_>| job(tx).map(drop))
    }

    fn instantly(
        &self,
        conversation: &str,
        ask: &Ask,
    ) -> Result<Instantly<impl Fn(&Tx<'_>) -> Result<Question, Error> + Send + 'static + use<>>, Fault> {
        let mut text = String::new();
        let prompt = Prompt {
            model: ask.choice.model.clone(),
            messages: vec![PromptMessage::text(models::Role::User, ask.text.as_str())],
            library: passages::look_up(&self.store, ask)?,
            ..Prompt::default()
        };
        let completion = ask
            .choice
            .provider
            .complete(&prompt, &Stop::new(), &mut |delta| {
                if let Delta::Text(piece) = delta {
                    text.push_str(piece);
                }
            })
            .map_err(Fault::Model)?;
        let quoted = prompt.library.as_ref().filter(|_| ask.choice.provider.quotes_library());
        let sources = passages::sources(quoted.map_or(&[], models::quoted));
        let question = self.question(conversation, ask);
        let user_id = ask.user.id;
        let now = self.clock.now();
        let (uuid, reply_at) = (self.clock.uuid(), now.plus_us(1).text());
        let usage = self.usage(ask, &completion, &reply_at);
        let (reply, summary) = (text.clone(), summary::summarise(&ask.text, &text));
        let model = completion.model.clone();
        let job = move |tx: &Tx<'_>| {
            let mut question = question(tx)?;
            let reply = NewMessage {
                uuid: uuid.clone(),
                conversation_id: question.conversation_id,
                user_id,
                role: Role::Assistant,
                content: reply.clone(),
                state: State::Complete,
                model: Some(completion.model.clone()),
                error: None,
                created_at: reply_at.clone(),
                details: MessageDetails::default(),
            };
            question.store_reply(tx, &reply)?;
            store::save_sources(tx, question.reply_id, &sources)?;
            store::insert_usage(tx, question.reply_id, &usage)?;
            store::summarise_conversation(tx, question.conversation_id, &summary)?;
            Ok(question)
        };
        Ok(Instantly { text, model, job })
    }

    /// Tells those who listen of a question, if they have not been told of it before.
    fn announce_question(&self, user_id: i64, question: &Question) {
        if question.is_new {
            self.announce(user_id, question.message_id);
        }
    }

    /// Tells those who listen of a message, as it is stored by now.
    pub(super) fn announce(&self, user_id: i64, message_id: i64) {
        if !self.hub.has_listeners(user_id) {
            return;
        }
        let id = Ref::Id(message_id);
        match self.store.read(|read| store::find_message(read, user_id, &id)) {
            Ok((message, chat_id)) => self.hub.publish(user_id, None, || Event::Message {
                chat_id,
                message: Box::new(message),
            }),
            // Deleted again already.
            Err(error) if error.kind() == Kind::NotFound => {}
            Err(error) => log::warn!("nobody was told of a message: {error}"),
        }
    }

    /// A reply before its first word, and before it is known where its question is stored.
    pub(super) fn reply_row(&self, ask: &Ask, uuid: String) -> NewMessage {
        NewMessage {
            uuid,
            conversation_id: 0,
            user_id: ask.user.id,
            role: Role::Assistant,
            content: String::new(),
            state: State::Streaming,
            model: ask.model(),
            error: None,
            // After the question, also for those who sort by it.
            created_at: self.clock.now().plus_us(1).text(),
            details: MessageDetails::default(),
        }
    }

    /// A turn with a model that waits.
    pub(super) fn run(&self, place: &Place, ask: &mut Ask) -> Result<Done, Fault> {
        let question = self.begin_reply(&place.conversation, ask)?;
        self.live().name(&place.conversation, question.conversation_id);
        question.begin(&place.running.feed, ask.model());
        self.announce_question(ask.user.id, &question);
        let replied = self.reply(place, ask, &question);
        let finish_reason = replied.map_err(|fault| self.after_commit(fault, ask, &question))?;
        Ok(Done {
            finish_reason,
            ..question.done(place.running.feed.said())
        })
    }

    /// Stores a question and, in the same commit, the row of the reply that is to be written: those who read along can be
    /// told from the beginning which it is.
    pub(super) fn begin_reply(&self, conversation: &str, ask: &Ask) -> Result<Question, Error> {
        let question = self.question(conversation, ask);
        let reply = self.reply_row(ask, self.clock.uuid());
        self.write(move |tx| {
            let mut question = question(tx)?;
            question.store_reply(tx, &reply)?;
            Ok(question)
        })
    }

    /// Asks the model and stores what it says. Returns why it ended ([`Completion::finish_reason`]).
    fn reply(&self, place: &Place, ask: &mut Ask, question: &Question) -> Result<Option<String>, Fault> {
        let _typing = Typing::begin(&self.hub, ask.user.id, &question.conversation_uuid);
        let Running { stop, feed } = &place.running;
        // Not copied: it may be as large as a request.
        let brought = ask.prompt.take();
        let ask = &*ask;
        let mut reply = Reply {
            turns: self,
            ask,
            question,
            feed,
            saved: Instant::now(),
            chars: 0,
            ran: None,
            has_ended: false,
        };
        let prompt = brought.map_or_else(
            || self.prompt_with_sources(ask, question, stop),
            |prompt| {
                let model = ask.choice.model.clone();
                Ok(Prompt { model, ..prompt })
            },
        );
        let prompt = match prompt {
            Ok(prompt) => prompt,
            Err(error) => {
                reply.give_up()?;
                return Err(error.into());
            }
        };
        let completion = ask
            .choice
            .provider
            .complete(&prompt, stop, &mut |delta| reply.take(delta));
        match completion {
            Ok(completion) => {
                let kept = reply.complete(&completion);
                if kept.is_err() {
                    self.account(ask, None, &completion);
                }
                kept?;
                Ok(completion.finish_reason)
            }
            Err(failure) => {
                let is_stopping = self.live().is_stopping();
                let kept = reply.fail(&failure, is_stopping);
                if let Some(spent) = spent(ask, &failure, &prompt, reply.chars) {
                    self.account(ask, Some(question.reply_id), &spent);
                }
                kept?;
                Err(Fault::Model(failure))
            }
        }
    }
}
