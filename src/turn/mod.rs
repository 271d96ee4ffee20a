//! The life of one reply: store the question, build the context, ask the model, store the answer, account for it.
//!
//! A turn belongs to the server, not to the connection that asked. The question is on disk before the model is asked,
//! what has come of the answer is saved four times a second, and the turn ends whether or not anybody still listens.
//! Replies of one conversation are written one after the other: each sees all that came before it.

mod attached;
mod context;
mod feed;
mod hub;
mod live;
mod marks;
mod opening;
mod passages;
mod passing;
mod place;
mod prompt;
mod reply;
mod summary;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::clock::Clock;
use crate::error::{Error, Kind};
use crate::models::{self, Choice, Completion, Delta, Failure, Prompt, PromptMessage, Stop, ToolCall, Usage};
use crate::pricing::{Pricing, Tokens};
use crate::reading::Reader;
use crate::store::{
    self, Conversation, MessageDetails, NewMessage, NewUsage, Ref, Role, Scope, SharedStore, State, User,
};

use feed::Feed;
use hub::Typing;
use live::{Entrance, Live, Running};
use opening::Question;
use passing::spent;
use place::{InstantPlace, Place};
use reply::{Reply, SAVE_MAX_STOPPING};

pub use feed::{Ended, Heard, Listen, Position, Said, Since, Start};
pub use hub::{Event, Hub, Notice, Subscriber, SubscriptionId};
pub use opening::Opening;
pub use passing::{Hear, Vectors};
pub use reply::{arguments_json, parse_tool_calls, tool_calls_json};

/// Stack of a turn's thread: TLS and JSON need little, and there may be hundreds.
const STACK_BYTES: usize = 256 * 1024;

/// Characters of a title that is taken from a message.
const TITLE_CHARS: usize = 50;

/// What turns may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Replies that are written at a time.
    pub turns_max: usize,
    /// Earlier messages that a model is given.
    pub context_messages: usize,
}

/// All turns of the server.
pub struct Turns {
    store: SharedStore,
    pricing: Arc<Pricing>,
    clock: Clock,
    limits: Limits,
    hub: Arc<Hub>,
    stack_bytes: usize,
    reader: Reader,
    live: Mutex<Live>,
    /// A turn has ended, an instant send that one waits for has been stored, or the server stops.
    moved: Condvar,
}

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
    /// The API key that it was sent with, whose budget pays for the reply.
    pub api_key: Option<i64>,
    /// What the model is asked with, where the sender brings the whole conversation along; without it, the branch.
    pub prompt: Option<Prompt>,
    /// What the sender says besides.
    pub details: MessageDetails,
    /// Whether it waits for a reply that is being written in its conversation, instead of being refused.
    pub queue: bool,
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
    fn wants_library(&self) -> bool {
        let of_conversation = matches!(self.to, Target::Existing { library: true, .. });
        self.library.unwrap_or(of_conversation)
    }

    /// The model as the reply's row names it until it is known which one ran. The name it is asked by may be empty (the
    /// server's own default); what ran has a name.
    fn model(&self) -> Option<String> {
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
struct Asker {
    answer: Answer,
    /// Reads along from the beginning.
    listener: Option<Box<dyn Listen>>,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Store(error)
    }
}

impl Turns {
    /// No turns yet. What happens is told to `hub`.
    pub fn new(store: SharedStore, hub: Arc<Hub>, pricing: Arc<Pricing>, clock: Clock, limits: Limits) -> Turns {
        Turns {
            store,
            hub,
            pricing,
            clock,
            limits,
            stack_bytes: STACK_BYTES,
            reader: Reader::default(),
            live: Mutex::new(Live::default()),
            moved: Condvar::new(),
        }
    }

    /// Begins a turn. With a model that never waits it ends before this returns; else on a thread of its own.
    pub fn begin(self: &Arc<Self>, ask: Ask, answer: Answer) {
        let listener = None;
        self.enter(ask, Asker { answer, listener });
    }

    /// The same for somebody who reads along. If nothing comes of it, `listener` may never hear of it: `answer` does. Both
    /// hear of the end, `listener` first.
    pub fn stream(self: &Arc<Self>, ask: Ask, listener: Box<dyn Listen>, answer: Answer) {
        let listener = Some(listener);
        self.enter(ask, Asker { answer, listener });
    }

    fn enter(self: &Arc<Self>, ask: Ask, asker: Asker) {
        let conversation = match &ask.to {
            Target::New => self.clock.uuid(),
            Target::Existing { uuid, .. } => uuid.clone(),
        };
        let mut live = self.live();
        match live.enter(&conversation, &ask, self.limits.turns_max) {
            Err(error) => {
                drop(live);
                (asker.answer)(Err(error.into()));
            }
            Ok(Entrance::Behind) => live.wait(&conversation, ask, asker),
            Ok(Entrance::Instant) => {
                drop(live);
                let feed = asker.listener.map(Feed::heard_by);
                let place = InstantPlace {
                    turns: self,
                    conversation: &conversation,
                };
                let outcome = self.run_instant(&conversation, &ask, feed.as_ref());
                drop(place);
                if let Some(feed) = feed {
                    self.tell_end(&feed, &ask, &outcome);
                }
                (asker.answer)(outcome);
            }
            Ok(Entrance::Turn(running)) => {
                drop(live);
                self.spawn(Place::new(self, conversation, running), ask, asker);
            }
        }
    }

    /// How many replies are being written, on threads of their own.
    pub fn running(&self) -> usize {
        self.live().turns()
    }

    /// Lets somebody listen to the reply that is being written in a conversation. Gives the listener back when there is
    /// none, or another one than it has a part of.
    ///
    /// # Errors
    /// The listener.
    pub fn attach(&self, conversation_id: i64, listener: Box<dyn Listen>, from: Since) -> Result<(), Box<dyn Listen>> {
        let running = self.live().running(conversation_id).cloned();
        match running {
            Some(running) => running.feed.attach(listener, from),
            None => Err(listener),
        }
    }

    /// Ends the reply that is being written in a conversation, if there is one.
    pub fn stop(&self, conversation_id: i64) {
        if let Some(running) = self.live().running(conversation_id) {
            running.stop.stop();
        }
    }

    /// The same for somebody who wants to know what came of it. Gives the listener back when no reply is being written.
    ///
    /// # Errors
    /// The listener.
    pub fn stop_for(&self, conversation_id: i64, listener: Box<dyn Listen>) -> Result<(), Box<dyn Listen>> {
        let Some(running) = self.live().running(conversation_id).cloned() else {
            return Err(listener);
        };
        running.feed.attach(listener, Since::Now)?;
        running.stop.stop();
        Ok(())
    }

    /// Ends every reply that is being written to a user, who may no longer be here; what has come is kept. What waits
    /// behind them is refused.
    pub fn stop_user(&self, user_id: i64) {
        // Not under the lock: whoever is answered may have a word to say.
        let refused = self.live().stop_user(user_id);
        for asker in refused {
            let error = Error::new(Kind::Unauthenticated, "Could not validate credentials");
            (asker.answer)(Err(error.into()));
        }
    }

    /// Ends every reply that is being written; what has come is kept as interrupted.
    pub fn stop_all(&self) {
        self.live().stop_all();
        self.moved.notify_all();
    }

    /// [`stop_all`](Turns::stop_all), and waits for a moment until what has come is stored.
    pub fn close(&self) {
        self.stop_all();
        let live = self.live();
        let since = live.stopping_since().unwrap_or_else(Instant::now);
        let left = (since + SAVE_MAX_STOPPING).saturating_duration_since(Instant::now());
        let waited = self.moved.wait_timeout_while(live, left, |live| live.turns() > 0);
        let left = waited.unwrap_or_else(PoisonError::into_inner).0.turns();
        if left > 0 {
            log::warn!("{left} replies could not be stored before the server stopped");
        }
    }

    /// How many replies are being written.
    pub fn count(&self) -> usize {
        self.live().turns()
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a turn on a thread of its own. If that does not come to be, nothing has been stored.
    fn spawn(&self, place: Place, ask: Ask, asker: Asker) {
        // Shared, because a thread that does not come to be does not give back what it was to run with.
        let turn = Arc::new(Mutex::new(Some((place, ask, asker))));
        let take = |turn: &Mutex<Option<_>>| turn.lock().unwrap_or_else(PoisonError::into_inner).take();
        let taken = Arc::clone(&turn);
        let spawned = thread::Builder::new()
            .name("turn".into())
            .stack_size(self.stack_bytes)
            .spawn(move || {
                if let Some((mut place, ask, asker)) = take(&taken) {
                    place.run(ask, asker);
                }
            });
        if let Err(error) = spawned {
            log::error!("a turn's thread did not start: {error}");
            if let Some((place, _, asker)) = take(&turn) {
                drop(place);
                let message = "The server has no thread left to write a reply on; try again";
                (asker.answer)(Err(live::unavailable(message, 5).into()));
            }
        }
    }

    /// Waits until a conversation's instant sends are stored; each is one commit, and no more can come.
    fn await_instants(&self, conversation: &str) {
        let has_instants = |live: &mut Live| live.has_instants(conversation);
        drop(self.moved.wait_while(self.live(), has_instants));
    }

    /// One commit for question and reply: a model that never waits leaves nothing to lose between them.
    fn run_instant(&self, conversation: &str, ask: &Ask, feed: Option<&Feed>) -> Result<Done, Fault> {
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
        let stored = self.store.write(move |tx| {
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
        });
        let question = stored?;
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

    /// Tells those who listen of a question, if they have not been told of it before.
    fn announce_question(&self, user_id: i64, question: &Question) {
        if question.is_new {
            self.announce(user_id, question.message_id);
        }
    }

    /// Tells those who listen of a message, as it is stored by now.
    fn announce(&self, user_id: i64, message_id: i64) {
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
    fn reply_row(&self, ask: &Ask, uuid: String) -> NewMessage {
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
    fn run(&self, place: &Place, ask: &Ask) -> Result<Done, Fault> {
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
    fn begin_reply(&self, conversation: &str, ask: &Ask) -> Result<Question, Error> {
        let question = self.question(conversation, ask);
        let reply = self.reply_row(ask, self.clock.uuid());
        self.store.write(move |tx| {
            let mut question = question(tx)?;
            question.store_reply(tx, &reply)?;
            Ok(question)
        })
    }

    /// Asks the model and stores what it says. Returns why it ended ([`Completion::finish_reason`]).
    fn reply(&self, place: &Place, ask: &Ask, question: &Question) -> Result<Option<String>, Fault> {
        let _typing = Typing::begin(&self.hub, ask.user.id, &question.conversation_uuid);
        let Running { stop, feed } = &place.running;
        let mut reply = Reply {
            turns: self,
            ask,
            question,
            feed,
            saved: Instant::now(),
            chars: 0,
            has_ended: false,
        };
        let prompt = match self.prompt_with_sources(ask, question, stop) {
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

    /// Tells those who read along how a turn has ended, and lets them go. What is stored decides: a reply that was stopped
    /// is one, as far as it came.
    fn tell_end(&self, feed: &Feed, ask: &Ask, outcome: &Result<Done, Fault>) {
        let listeners = feed.end();
        if listeners.is_empty() {
            return;
        }
        let at = feed.position();
        let ended = feed.start().map(|start| {
            self.find_ended(ask.user.id, start.response_message_id)
                .map_err(Fault::Kept)
        });
        let heard = match (outcome, &ended) {
            (_, Some(Ok(ended))) if is_kept(ended.message.state) => Heard::Done(ended),
            (Err(fault), _) => Heard::Failed(fault),
            // It ended well, and cannot be read now: whoever listens learns at least that nothing more comes.
            (Ok(_), Some(Err(fault @ Fault::Kept(error)))) if error.kind() != Kind::NotFound => Heard::Failed(fault),
            // It ended well, and is gone by now.
            (Ok(_), _) => return,
        };
        for mut listener in listeners {
            listener.hear(&heard, at);
        }
    }

    /// A reply that has ended, as those who read along are told of it.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub fn find_ended(&self, user_id: i64, message_id: i64) -> Result<Ended, Error> {
        self.store.read(|read| {
            let (message, chat_id) = store::find_message(read, user_id, &Ref::Id(message_id))?;
            let usage = store::list_usage(read, &[message.id])?;
            Ok(Ended {
                message,
                chat_id,
                usage,
            })
        })
    }

    /// What went wrong once the question was stored. A conversation that was deleted meanwhile is why the reply was
    /// stopped or found no place, and what its sender is told.
    fn after_commit(&self, fault: Fault, ask: &Ask, question: &Question) -> Fault {
        let which = Ref::Id(question.conversation_id);
        let found = self
            .store
            .read(|read| store::find_conversation(read, ask.user.id, &which));
        match (found, fault) {
            (Err(error), _) if error.kind() == Kind::NotFound => Fault::Store(error),
            // If the store does not say, the fault itself is the better answer.
            (_, Fault::Store(error)) => Fault::Kept(error),
            (_, fault) => fault,
        }
    }

    /// What a completed reply cost.
    fn usage(&self, ask: &Ask, completion: &Completion, now: &str) -> NewUsage {
        let Usage {
            input_tokens,
            output_tokens,
            cached_tokens,
            estimated,
        } = completion.usage;
        // OpenAI, and all that speak its protocol, count the cached tokens in `prompt_tokens` and say again how many they
        // were (https://platform.openai.com/docs/guides/prompt-caching): in a row they stand once, or they would be
        // paid for twice.
        let cached_tokens = cached_tokens.min(input_tokens);
        let input_tokens = input_tokens - cached_tokens;
        let tokens = Tokens {
            input: input_tokens,
            cached: cached_tokens,
            output: output_tokens,
        };
        NewUsage {
            user_id: ask.user.id,
            api_key: ask.api_key,
            scope: Scope::Final,
            model: completion.model.clone(),
            input_tokens,
            output_tokens,
            cached_tokens,
            is_estimated: estimated,
            price: self.pricing.price(&completion.provider, &completion.model, tokens),
            created_at: now.to_owned(),
        }
    }
}

/// Whether a reply in this state is one that somebody may be shown as such: whole, or ended on purpose.
pub fn is_kept(state: State) -> bool {
    match state {
        State::Complete | State::Interrupted | State::Stopped => true,
        State::Streaming | State::Failed => false,
    }
}

/// A conversation's title from its first message: the first 50 characters, and `...` if there are more.
fn title(message: &str) -> String {
    match message.char_indices().nth(TITLE_CHARS) {
        Some((end, _)) => format!("{}...", &message[..end]),
        None => message.to_owned(),
    }
}
