//! The life of one reply: store the question, build the context, ask the model, store the answer, account for it.
//!
//! A turn belongs to the server, not to the connection that asked. The question is on disk before the model is asked,
//! what has come of the answer is saved four times a second, and the turn ends whether or not anybody still listens.
//! Replies of one conversation are written one after the other: each sees all that came before it.

mod attached;
mod context;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::error::{Error, Kind};
use crate::models::{Choice, Completion, Delta, Failure, FailureKind, Prompt, PromptMessage, Stop, Usage};
use crate::reading::Reader;
use crate::store::{
    self, Branch, Conversation, NewConversation, NewMessage, NewUsage, Role, SharedStore, State, Tx, User,
};

/// How often the reply so far is saved. More often costs a commit each, less often loses more to a power cut.
const SAVE_EVERY: Duration = Duration::from_millis(250);

/// Sends that may wait for the reply before them in the same conversation.
const QUEUE_MAX: usize = 16;

/// Stack of a turn's thread: TLS and JSON need little, and there may be hundreds.
const STACK_BYTES: usize = 256 * 1024;

/// Characters of a title that is taken from a message.
const TITLE_CHARS: usize = 50;

/// All turns of the server.
pub struct Turns {
    store: SharedStore,
    clock: Clock,
    turns_max: usize,
    context_messages: usize,
    reader: Reader,
    live: Mutex<Live>,
}

/// What is being written right now.
#[derive(Default)]
struct Live {
    /// Conversations with a turn on a thread of its own, and the sends that wait behind it.
    busy: HashMap<i64, Busy>,
    /// Turns that write, are about to, or wait: counted against the limit.
    count: usize,
    is_stopping: bool,
}

struct Busy {
    stop: Stop,
    waiting: VecDeque<(Ask, Answer)>,
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
    },
}

impl From<Conversation> for Target {
    fn from(conversation: Conversation) -> Target {
        Target::Existing {
            id: conversation.id,
            uuid: conversation.uuid,
            system_prompt: conversation.system_prompt,
        }
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
}

/// Why a turn did not end with a reply.
#[derive(Debug)]
pub enum Fault {
    /// Before or after the model: nothing is stored, or the reply could not be.
    Store(Error),
    /// The model's; the question is stored, and what had come of the reply.
    Model(Failure),
}

/// What is done with the end of a turn. Called once, on whatever thread the turn ends.
pub type Answer = Box<dyn FnOnce(Result<Done, Fault>) + Send>;

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Store(error)
    }
}

/// The question once it is stored.
struct Question {
    conversation_id: i64,
    conversation_uuid: String,
    message_id: i64,
}

impl Turns {
    /// No turns yet. At most `turns_max` replies are written at a time; models are given at most `context_messages`
    /// earlier messages.
    pub fn new(store: SharedStore, clock: Clock, turns_max: usize, context_messages: usize) -> Turns {
        Turns {
            store,
            clock,
            turns_max,
            context_messages,
            reader: Reader::default(),
            live: Mutex::new(Live::default()),
        }
    }

    /// Begins a turn. With a model that never waits it ends before this returns; else on a thread of its own.
    pub fn begin(self: &Arc<Self>, ask: Ask, answer: Answer) {
        let conversation = match &ask.to {
            Target::New => None,
            Target::Existing { id, .. } => Some(*id),
        };
        let mut live = self.live();
        if let Some(busy) = conversation.and_then(|id| live.busy.get_mut(&id)) {
            if busy.waiting.len() >= QUEUE_MAX {
                drop(live);
                let message = "Too many messages wait for a reply in this conversation; try again";
                return answer(Err(Error::new(Kind::Unavailable, message).retry_after(5).into()));
            }
            busy.waiting.push_back((ask, answer));
            return;
        }
        if ask.choice.provider.instant() {
            drop(live);
            return answer(self.run_instant(&ask));
        }
        if live.count >= self.turns_max || live.is_stopping {
            drop(live);
            let message = "Too many replies are being written; try again";
            return answer(Err(Error::new(Kind::Unavailable, message).retry_after(2).into()));
        }
        live.count += 1;
        let stop = Stop::new();
        if let Some(id) = conversation {
            let waiting = VecDeque::new();
            let stop = stop.clone();
            live.busy.insert(id, Busy { stop, waiting });
        }
        drop(live);
        self.spawn(conversation, stop, ask, answer);
    }

    /// Ends the reply that is being written in a conversation, if there is one.
    pub fn stop(&self, conversation_id: i64) {
        if let Some(busy) = self.live().busy.get(&conversation_id) {
            busy.stop.stop();
        }
    }

    /// Ends every reply that is being written; what has come is kept as interrupted.
    pub fn stop_all(&self) {
        let mut live = self.live();
        live.is_stopping = true;
        for busy in live.busy.values() {
            busy.stop.stop();
        }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(self: &Arc<Self>, conversation: Option<i64>, stop: Stop, ask: Ask, answer: Answer) {
        let turns = Arc::clone(self);
        // The thread may not come to be, and a panic must not leave the conversation busy: the place is given back,
        // and the answer given, by drops.
        let mut place = Place {
            turns,
            conversation,
            stop,
        };
        let spawned = thread::Builder::new()
            .name("turn".into())
            .stack_size(STACK_BYTES)
            .spawn(move || place.run(ask, answer));
        if let Err(error) = spawned {
            log::error!("a turn's thread did not start: {error}");
        }
    }

    /// One commit for question and reply: a model that never waits leaves nothing to lose between them.
    fn run_instant(&self, ask: &Ask) -> Result<Done, Fault> {
        let mut text = String::new();
        let prompt = Prompt {
            model: ask.choice.model.clone(),
            messages: vec![PromptMessage {
                role: crate::models::Role::User,
                content: ask.text.clone(),
                images: Vec::new(),
            }],
            temperature: None,
            max_tokens: None,
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
        let question = self.question(ask);
        let user_id = ask.user.id;
        let now = self.clock.now();
        let (uuid, reply_at) = (self.clock.uuid(), now.plus_us(1).text());
        let reply = text.clone();
        let stored = self.store.write(move |tx| {
            let question = question(tx)?;
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
            };
            let id = store::insert_message(tx, &reply, Some(question.message_id), None)?;
            store::insert_usage(tx, id, &usage(user_id, &completion, &reply_at))?;
            Ok((question, id))
        });
        let (question, id) = stored?;
        Ok(done(question, id, text))
    }

    /// The job that stores a question, and its conversation if that is new.
    fn question(&self, ask: &Ask) -> impl Fn(&Tx<'_>) -> Result<Question, Error> + Send + 'static {
        let now = self.clock.now().text();
        let user_id = ask.user.id;
        let target = match &ask.to {
            Target::New => None,
            Target::Existing { id, uuid, .. } => Some((*id, uuid.clone())),
        };
        let (conversation_uuid, message_uuid) = (self.clock.uuid(), self.clock.uuid());
        let (text, attachments) = (ask.text.clone(), ask.attachments.clone());
        let title = title(&text);
        move |tx| {
            let (conversation_id, conversation_uuid) = match &target {
                Some((id, uuid)) => (*id, uuid.clone()),
                None => {
                    let new = NewConversation {
                        user_id,
                        uuid: conversation_uuid.clone(),
                        title: Some(title.clone()),
                        created_at: now.clone(),
                    };
                    (store::insert_conversation(tx, &new)?, conversation_uuid.clone())
                }
            };
            let message = NewMessage {
                uuid: message_uuid.clone(),
                conversation_id,
                user_id,
                role: Role::User,
                content: text.clone(),
                state: State::Complete,
                model: None,
                error: None,
                created_at: now.clone(),
            };
            let message_id = store::insert_message(tx, &message, None, Some(&title))?;
            if !attachments.is_empty() {
                store::send_attachments(tx, user_id, message_id, &attachments)?;
            }
            Ok(Question {
                conversation_id,
                conversation_uuid,
                message_id,
            })
        }
    }

    /// A turn with a model that waits.
    fn run(&self, place: &mut Place, ask: &Ask) -> Result<Done, Fault> {
        let question = self.store.write(self.question(ask))?;
        place.settle(question.conversation_id);
        let prompt = self.prompt(ask, &question)?;
        let mut reply = Reply {
            turns: self,
            user_id: ask.user.id,
            question: &question,
            model: ask.choice.model.clone(),
            text: String::new(),
            row: None,
            saved: Instant::now(),
        };
        let completion = ask
            .choice
            .provider
            .complete(&prompt, &place.stop, &mut |delta| reply.take(delta));
        match completion {
            Ok(completion) => {
                let id = reply.complete(completion)?;
                let text = std::mem::take(&mut reply.text);
                Ok(done(question, id, text))
            }
            Err(failure) => {
                reply.fail(&failure, self.live().is_stopping)?;
                Err(Fault::Model(failure))
            }
        }
    }

    /// The question and what came before it, as the model will read them.
    fn prompt(&self, ask: &Ask, question: &Question) -> Result<Prompt, Error> {
        let branch = Branch {
            conversation_id: question.conversation_id,
            leaf_id: Some(question.message_id),
            before: None,
            limit: i64::try_from(self.context_messages)
                .unwrap_or(i64::MAX)
                .saturating_add(1),
        };
        let mut branch = self.store.read(|read| store::list_branch(read, &branch))?;
        let images = attached::read_into(&self.store, &self.reader, &mut branch)?;
        let own = match &ask.to {
            Target::Existing { system_prompt, .. } => system_prompt.as_deref(),
            Target::New => None,
        };
        let system_prompt = own.or(ask.user.system_prompt.as_deref());
        let mut messages = context::build(system_prompt, &branch, self.context_messages);
        attached::show(images, &branch, &mut messages);
        Ok(Prompt {
            model: ask.choice.model.clone(),
            messages,
            temperature: None,
            max_tokens: None,
        })
    }
}

/// A turn's place among the live ones. Given back when dropped.
struct Place {
    turns: Arc<Turns>,
    /// Unknown until a new conversation is stored.
    conversation: Option<i64>,
    stop: Stop,
}

impl Place {
    /// Runs a turn, then those that wait behind it.
    fn run(&mut self, ask: Ask, answer: Answer) {
        let turns = Arc::clone(&self.turns);
        let mut next = Some((ask, answer));
        while let Some((ask, answer)) = next {
            let outcome = if ask.choice.provider.instant() {
                turns.run_instant(&ask)
            } else {
                turns.run(self, &ask)
            };
            answer(outcome);
            next = self.next();
        }
    }

    /// Makes a new conversation known as busy, so that it can be stopped and waited for.
    fn settle(&mut self, conversation_id: i64) {
        let mut live = self.turns.live();
        // Somebody else may have found the new conversation already and begun a turn there: that entry is theirs.
        if self.conversation.is_none()
            && let Entry::Vacant(place) = live.busy.entry(conversation_id)
        {
            place.insert(Busy {
                stop: self.stop.clone(),
                waiting: VecDeque::new(),
            });
            self.conversation = Some(conversation_id);
        }
        if live.is_stopping {
            self.stop.stop();
        }
    }

    /// The send that waits behind the one that has ended; it can be stopped by itself.
    fn next(&mut self) -> Option<(Ask, Answer)> {
        let mut live = self.turns.live();
        let id = self.conversation?;
        let busy = live.busy.get_mut(&id)?;
        let next = busy.waiting.pop_front();
        if next.is_some() {
            self.stop = Stop::new();
            busy.stop = self.stop.clone();
        } else {
            live.busy.remove(&id);
            // From here on the entry may be another turn's: this place must not give it back.
            self.conversation = None;
        }
        next
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut live = self.turns.live();
        live.count -= 1;
        let left = self.conversation.and_then(|id| live.busy.remove(&id));
        drop(live);
        for (_, answer) in left.into_iter().flat_map(|busy| busy.waiting) {
            answer(Err(Error::new(Kind::Internal, "a turn ended early").into()));
        }
    }
}

/// A reply while it is written.
struct Reply<'t> {
    turns: &'t Turns,
    user_id: i64,
    question: &'t Question,
    model: String,
    text: String,
    /// The stored row, once there is one.
    row: Option<i64>,
    saved: Instant,
}

impl Reply<'_> {
    fn take(&mut self, delta: Delta<'_>) {
        if let Delta::Text(piece) = delta {
            self.text.push_str(piece);
        }
        if self.saved.elapsed() >= SAVE_EVERY && !self.text.is_empty() {
            self.saved = Instant::now();
            // A failed save is tried again in a moment, and the last one decides.
            match self.save(State::Streaming, None, None) {
                Ok(id) => self.row = Some(id),
                Err(error) => log::warn!("a reply was not saved while it is written: {error}"),
            }
        }
    }

    /// Stores the reply so far, and at its end what it cost.
    fn save(&self, state: State, error: Option<String>, completion: Option<Completion>) -> Result<i64, Error> {
        let now = self.turns.clock.now().text();
        let message = NewMessage {
            uuid: self.turns.clock.uuid(),
            conversation_id: self.question.conversation_id,
            user_id: self.user_id,
            role: Role::Assistant,
            content: self.text.clone(),
            state,
            // The name it was asked by may be empty (the server's own default); what ran has a name.
            model: completion
                .as_ref()
                .map(|completion| &completion.model)
                .or(Some(&self.model))
                .filter(|name| !name.is_empty())
                .cloned(),
            error,
            created_at: now.clone(),
        };
        let (row, parent) = (self.row, self.question.message_id);
        let usage = completion.map(|completion| usage(self.user_id, &completion, &now));
        self.turns.store.write(move |tx| {
            let id = match row {
                None => store::insert_message(tx, &message, Some(parent), None)?,
                Some(id) if message.state == State::Streaming => {
                    store::save_partial(tx, id, &message.content)?;
                    id
                }
                Some(id) => {
                    store::finish_message(tx, id, &message)?;
                    id
                }
            };
            if let Some(usage) = &usage {
                store::insert_usage(tx, id, usage)?;
            }
            Ok(id)
        })
    }

    fn complete(&self, completion: Completion) -> Result<i64, Error> {
        self.save(State::Complete, None, Some(completion))
    }

    /// Keeps what had come. A reply of which nothing came leaves no row: the question stands unanswered.
    fn fail(&self, failure: &Failure, is_server_stopping: bool) -> Result<(), Error> {
        if self.text.is_empty() {
            return Ok(());
        }
        let state = match failure.kind {
            FailureKind::Stopped if is_server_stopping => State::Interrupted,
            FailureKind::Stopped => State::Stopped,
            _ => State::Failed,
        };
        match self.save(state, Some(failure.message.clone()), None) {
            // The conversation was deleted meanwhile: there is nothing to keep it in.
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            outcome => outcome.map(drop),
        }
    }
}

fn done(question: Question, response_message_id: i64, text: String) -> Done {
    Done {
        conversation_id: question.conversation_id,
        conversation_uuid: question.conversation_uuid,
        request_message_id: question.message_id,
        response_message_id,
        text,
    }
}

fn usage(user_id: i64, completion: &Completion, now: &str) -> NewUsage {
    let Usage {
        input_tokens,
        output_tokens,
        cached_tokens,
        estimated,
    } = completion.usage;
    NewUsage {
        user_id,
        model: completion.model.clone(),
        input_tokens,
        output_tokens,
        cached_tokens,
        is_estimated: estimated,
        created_at: now.to_owned(),
    }
}

/// A conversation's title from its first message: the first 50 characters, and `...` if there are more.
fn title(message: &str) -> String {
    match message.char_indices().nth(TITLE_CHARS) {
        Some((end, _)) => format!("{}...", &message[..end]),
        None => message.to_owned(),
    }
}
