//! Who writes where right now, who waits behind whom, and how many of each there may be. Starts no thread, stores
//! nothing.
//!
//! A conversation is known here by its UUID, which is chosen before it is stored: so a turn has its place before
//! anybody else can find the conversation.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::ask::Asker;
use super::feed::Feed;
use super::passing::size;
use super::{Ask, Target};
use crate::error::{Error, Kind};
use crate::models::Stop;

/// Sends that may wait for the reply before them in the same conversation.
const QUEUE_MAX: usize = 16;

/// Sends that may wait in all conversations together. They hold their connections, which are 10 000.
const WAITING_MAX: usize = 1024;

/// Bytes of their texts: one may be 1 MiB, and together they must not fill the memory of a small machine.
const WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of the prompts that senders bring along, together: they have pictures, and stay in memory until the reply has
/// ended. Four of the largest requests.
const PROMPT_BYTES_MAX: usize = 128 * 1024 * 1024;

/// What is being written right now.
#[derive(Default)]
pub(super) struct Live {
    /// Conversations that are being written in.
    busy: HashMap<String, Busy>,
    /// Turns on threads of their own: counted against the limit.
    turns: usize,
    /// Exchanges that are not kept, by number: turns without a conversation.
    passing: HashMap<u64, Passing>,
    /// How many of those there have been.
    passed: u64,
    waiting: usize,
    waiting_bytes: usize,
    stopping_since: Option<Instant>,
}

/// An exchange that is not kept.
pub(super) struct Passing {
    /// For whom.
    pub(super) user_id: i64,
    /// Ends it.
    pub(super) stop: Stop,
    /// Of its prompt.
    pub(super) bytes: usize,
}

#[derive(Default)]
struct Busy {
    /// Who writes there.
    user_id: i64,
    /// Unknown until a new conversation is stored.
    id: Option<i64>,
    /// The turn that has a thread of its own, if there is one.
    turn: Option<Running>,
    /// Questions that are being stored together with their replies. Each is one commit, so they need not wait for one
    /// another; but a turn begins after them, or its reply would leave them on a branch that is not shown.
    instants: usize,
    /// Of the prompt that the turn's sender brought along.
    prompt_bytes: usize,
    /// Behind the turn.
    waiting: VecDeque<(Ask, Asker)>,
}

/// A turn as others see it.
#[derive(Clone, Default)]
pub(super) struct Running {
    /// Ends it.
    pub(super) stop: Stop,
    /// What comes of it.
    pub(super) feed: Arc<Feed>,
}

/// How a send may go on.
pub(super) enum Entrance {
    /// At once: question and reply are one commit. To be given back with [`Live::leave_instant`].
    Instant,
    /// On a thread of its own. To be given back with [`Live::leave`].
    Turn(Running),
    /// Behind the turn that is there: to be handed to [`Live::wait`].
    Behind,
}

impl Live {
    /// Takes a place in a conversation for this send.
    ///
    /// # Errors
    /// [`Kind::Conflict`] when a reply is being written there and the send does not want to wait;
    /// [`Kind::Unavailable`] when too much waits, or too many write.
    pub(super) fn enter(&mut self, conversation: &str, ask: &Ask, turns_max: usize) -> Result<Entrance, Error> {
        let ahead = self.busy.get(conversation).filter(|busy| busy.turn.is_some());
        if let Some(busy) = ahead {
            if !ask.queue {
                return Err(Error::new(Kind::Conflict, "A reply is being written"));
            }
            self.check_room(busy, ask)?;
            return Ok(Entrance::Behind);
        }
        let is_instant = ask.choice.provider.instant();
        if !is_instant && (self.turns >= turns_max || self.is_stopping()) {
            return Err(unavailable("Too many replies are being written; try again", 2));
        }
        let prompt_bytes = ask.prompt.as_ref().map_or(0, size);
        if !is_instant {
            self.check_prompt(prompt_bytes)?;
        }
        let busy = self.busy.entry(conversation.to_owned()).or_default();
        busy.user_id = ask.user.id;
        if let Target::Existing { id, .. } = ask.to {
            busy.id = Some(id);
        }
        if is_instant {
            busy.instants += 1;
            return Ok(Entrance::Instant);
        }
        self.turns += 1;
        let running = Running::default();
        busy.turn = Some(running.clone());
        busy.prompt_bytes = prompt_bytes;
        Ok(Entrance::Turn(running))
    }

    /// Takes a place for a change to what is stored in a conversation: a turn begins after it. To be given back with
    /// [`Live::leave_instant`].
    ///
    /// # Errors
    /// [`Kind::Conflict`] when a reply is being written there.
    pub(super) fn enter_instant(&mut self, conversation: &str, user_id: i64) -> Result<(), Error> {
        let busy = self.busy.entry(conversation.to_owned()).or_default();
        if busy.turn.is_some() {
            return Err(Error::new(Kind::Conflict, "A reply is being written"));
        }
        busy.user_id = user_id;
        busy.instants += 1;
        Ok(())
    }

    /// Ends every reply that is being written to this user, and gives the sends back that wait behind them.
    pub(super) fn stop_user(&mut self, user_id: i64) -> Vec<Asker> {
        let passing = self.passing.values().filter(|passing| passing.user_id == user_id);
        passing.for_each(|passing| passing.stop.stop());
        let mut given_back = Vec::new();
        for busy in self.busy.values_mut().filter(|busy| busy.user_id == user_id) {
            if let Some(running) = &busy.turn {
                running.stop.stop();
            }
            for (ask, asker) in busy.waiting.drain(..) {
                self.waiting -= 1;
                self.waiting_bytes -= ask.text.len();
                given_back.push(asker);
            }
        }
        given_back
    }

    fn check_room(&self, busy: &Busy, ask: &Ask) -> Result<(), Error> {
        if self.is_stopping() {
            return Err(unavailable("The server is stopping", 5));
        }
        if busy.waiting.len() >= QUEUE_MAX {
            let message = "Too many messages wait for a reply in this conversation; try again";
            return Err(unavailable(message, 5));
        }
        if self.waiting >= WAITING_MAX || self.waiting_bytes + ask.text.len() > WAITING_BYTES_MAX {
            return Err(unavailable("Too many messages wait for a reply; try again", 5));
        }
        Ok(())
    }

    /// Puts a send behind the turn in its conversation.
    pub(super) fn wait(&mut self, conversation: &str, ask: Ask, asker: Asker) {
        if let Some(busy) = self.busy.get_mut(conversation) {
            self.waiting += 1;
            self.waiting_bytes += ask.text.len();
            busy.waiting.push_back((ask, asker));
        }
    }

    /// The send behind the turn that has ended; it keeps the turn's place. When the server stops nobody comes next.
    pub(super) fn next(&mut self, conversation: &str) -> Option<(Ask, Asker, Running)> {
        if self.is_stopping() {
            return None;
        }
        let busy = self.busy.get_mut(conversation)?;
        let (ask, asker) = busy.waiting.pop_front()?;
        let running = Running::default();
        busy.turn = Some(running.clone());
        // Only messages without a prompt of their own wait.
        busy.prompt_bytes = 0;
        self.waiting -= 1;
        self.waiting_bytes -= ask.text.len();
        Some((ask, asker, running))
    }

    /// Gives a turn's place back; returns those who waited behind it.
    pub(super) fn leave(&mut self, conversation: &str) -> Vec<(Ask, Asker)> {
        self.turns -= 1;
        let Some(busy) = self.busy.get_mut(conversation) else {
            return Vec::new();
        };
        busy.turn = None;
        busy.prompt_bytes = 0;
        let left: Vec<(Ask, Asker)> = busy.waiting.drain(..).collect();
        if busy.instants == 0 {
            self.busy.remove(conversation);
        }
        self.waiting -= left.len();
        self.waiting_bytes -= left.iter().map(|(ask, _)| ask.text.len()).sum::<usize>();
        left
    }

    /// Gives an instant send's place back; returns whether a turn waits for that.
    pub(super) fn leave_instant(&mut self, conversation: &str) -> bool {
        let Some(busy) = self.busy.get_mut(conversation) else {
            return false;
        };
        busy.instants -= 1;
        let is_awaited = busy.turn.is_some();
        if busy.instants == 0 && !is_awaited {
            self.busy.remove(conversation);
        }
        is_awaited
    }

    fn check_prompt(&self, bytes: usize) -> Result<(), Error> {
        let passing = self.passing.values().map(|passing| passing.bytes);
        let kept = self.busy.values().map(|busy| busy.prompt_bytes);
        if bytes > 0 && passing.chain(kept).sum::<usize>() + bytes > PROMPT_BYTES_MAX {
            let message = "There is no room for a prompt of this size now; try again";
            return Err(unavailable(message, 5));
        }
        Ok(())
    }

    /// Takes a place for an exchange that is not kept; to be given back with
    /// [`Live::leave_passing`].
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when too many write, or too much is being written to.
    pub(super) fn enter_passing(&mut self, passing: Passing, turns_max: usize) -> Result<u64, Error> {
        if self.turns >= turns_max || self.is_stopping() {
            return Err(unavailable("Too many replies are being written; try again", 2));
        }
        self.check_prompt(passing.bytes)?;
        self.turns += 1;
        self.passed += 1;
        self.passing.insert(self.passed, passing);
        Ok(self.passed)
    }

    /// Gives the place of an exchange back.
    pub(super) fn leave_passing(&mut self, number: u64) {
        if self.passing.remove(&number).is_some() {
            self.turns -= 1;
        }
    }

    /// Whether instant sends are still being stored in a conversation.
    pub(super) fn has_instants(&self, conversation: &str) -> bool {
        self.busy.get(conversation).is_some_and(|busy| busy.instants > 0)
    }

    /// Says the integer id of a conversation that a turn is in.
    pub(super) fn name(&mut self, conversation: &str, id: i64) {
        if let Some(busy) = self.busy.get_mut(conversation) {
            busy.id = Some(id);
        }
    }

    /// The turn in a conversation, if there is one.
    pub(super) fn running(&self, id: i64) -> Option<&Running> {
        // There are as many as there may be turns, which are hundreds.
        let mut turns = self.busy.values().filter(|busy| busy.id == Some(id));
        turns.find_map(|busy| busy.turn.as_ref())
    }

    /// Ends every turn, and lets no other begin.
    pub(super) fn stop_all(&mut self) {
        self.stopping_since.get_or_insert_with(Instant::now);
        let turns = self.busy.values().filter_map(|busy| busy.turn.as_ref());
        turns.for_each(|turn| turn.stop.stop());
        self.passing.values().for_each(|passing| passing.stop.stop());
    }

    /// When the server began to stop.
    pub(super) fn stopping_since(&self) -> Option<Instant> {
        self.stopping_since
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping_since.is_some()
    }

    /// Turns that have not ended.
    pub(super) fn turns(&self) -> usize {
        self.turns
    }
}

pub(super) fn unavailable(message: &'static str, retry_after_s: u32) -> Error {
    Error::new(Kind::Unavailable, message).retry_after(retry_after_s)
}

#[cfg(test)]
impl Live {
    /// Sends that wait, and the bytes of their texts.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.waiting, self.waiting_bytes)
    }

    /// Nobody writes, nobody waits, and nothing is left of those who did.
    pub(super) fn is_empty(&self) -> bool {
        self.busy.is_empty() && self.turns == 0 && self.waiting() == (0, 0)
    }
}
