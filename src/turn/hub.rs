//! What happens to a user's conversations, told to whoever listens for that user at this moment. Owns who listens;
//! knows neither sockets nor how an event is written. Telling costs a look into a table when nobody listens, and never
//! waits: a subscriber that cannot take an event at once must lose it or leave.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::store::{Message, Role, SessionKey, SessionOf};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A message was stored, or has reached its end.
    Message {
        /// The conversation's UUID.
        chat_id: String,
        /// As it is stored.
        message: Box<Message>,
    },
    /// A message was read.
    Read {
        /// The conversation's UUID.
        chat_id: String,
        /// The message's UUID.
        message_id: String,
    },
    /// Somebody writes, or has stopped writing.
    Typing {
        /// The conversation's UUID.
        chat_id: String,
        /// A person on another device, or a model.
        sender: Role,
        /// Whether it goes on.
        is_typing: bool,
    },
    /// Another branch is shown, or messages were deleted or put back.
    Changed {
        /// The conversation's UUID.
        chat_id: String,
    },
    /// A reply has grown.
    Delta {
        /// The conversation's UUID.
        chat_id: String,
        /// The reply's UUID, which it keeps when it is stored.
        message_id: String,
        /// What has come.
        text: String,
    },
}

/// An event on its way to all who listen.
pub struct Notice {
    /// What happened.
    pub event: Event,
    text: OnceLock<String>,
}

impl Notice {
    /// The event as text, written by the first who needs it and then shared: a user's devices all read the same.
    pub fn text(&self, write: impl FnOnce(&Event) -> String) -> &str {
        self.text.get_or_init(|| write(&self.event))
    }
}

/// One who listens.
pub trait Subscriber: Send + Sync {
    /// Takes an event. Must not wait.
    fn notify(&self, notice: &Notice);

    /// Is told that its session has ended: it may hear no more.
    fn dismiss(&self);
}

/// Subscriptions that one user may have at the same time: enough for one account that a whole crowd of screens shares,
/// and a fifth of the connections there are.
const PER_USER_MAX: usize = 2048;

/// Names a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionId(u64);

struct Subscription {
    id: SubscriptionId,
    /// Nobody yet: the place is kept for one who is about to listen.
    listening: Option<Listening>,
}

struct Listening {
    session: SessionKey,
    subscriber: Arc<dyn Subscriber>,
    ear: Ear,
}

/// What a subscriber wants to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ear {
    /// Everything.
    Open,
    /// Nothing but that its session has ended.
    Deaf,
}

/// Everybody who listens.
#[derive(Default)]
pub struct Hub {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    by_user: HashMap<i64, Vec<Subscription>>,
    made: u64,
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a place for one who is about to listen, under the name of the subscription that will be made. It lasts until
    /// [`Hub::unsubscribe`]. `None` when this user has as many as may be.
    pub fn reserve(&self, user_id: i64) -> Option<SubscriptionId> {
        let mut inner = self.lock();
        let id = SubscriptionId(inner.made);
        let subscriptions = inner.by_user.entry(user_id).or_default();
        if subscriptions.len() >= PER_USER_MAX {
            return None;
        }
        subscriptions.push(Subscription { id, listening: None });
        inner.made += 1;
        Some(id)
    }

    /// Tells `subscriber`, for whom a place was kept, of everything that happens to this user from now on, as long as the
    /// session lasts.
    pub fn subscribe(&self, user_id: i64, id: SubscriptionId, session: SessionKey, subscriber: Arc<dyn Subscriber>) {
        let ear = Ear::Open;
        self.fill(
            user_id,
            id,
            Listening {
                session,
                subscriber,
                ear,
            },
        );
    }

    /// Tells `subscriber`, for whom a place was kept, of nothing but that the session has ended: it hears elsewhere what it
    /// is here for.
    pub fn watch(&self, user_id: i64, id: SubscriptionId, session: SessionKey, subscriber: Arc<dyn Subscriber>) {
        let ear = Ear::Deaf;
        self.fill(
            user_id,
            id,
            Listening {
                session,
                subscriber,
                ear,
            },
        );
    }

    fn fill(&self, user_id: i64, id: SubscriptionId, listening: Listening) {
        let mut inner = self.lock();
        let mut subscriptions = inner.by_user.get_mut(&user_id).into_iter().flatten();
        if let Some(subscription) = subscriptions.find(|subscription| subscription.id == id) {
            subscription.listening = Some(listening);
        }
    }

    /// Ends a subscription, if it is there, and gives its place back.
    pub fn unsubscribe(&self, user_id: i64, id: SubscriptionId) {
        let mut inner = self.lock();
        if let Some(subscriptions) = inner.by_user.get_mut(&user_id) {
            subscriptions.retain(|subscription| subscription.id != id);
            if subscriptions.is_empty() {
                inner.by_user.remove(&user_id);
            }
        }
    }

    /// Whether anybody listens for this user.
    pub fn has_listeners(&self, user_id: i64) -> bool {
        let inner = self.lock();
        let subscriptions = inner.by_user.get(&user_id).into_iter().flatten();
        let mut listening = subscriptions.filter_map(|subscription| subscription.listening.as_ref());
        listening.any(|listening| listening.ear == Ear::Open)
    }

    /// Tells all who listen for this user, except the one it comes from. The event is made only if there are any.
    pub fn publish(&self, user_id: i64, from: Option<SubscriptionId>, make: impl FnOnce() -> Event) {
        let listening: Vec<_> = match self.lock().by_user.get(&user_id) {
            None => return,
            Some(subscriptions) => subscriptions
                .iter()
                .filter(|subscription| Some(subscription.id) != from)
                .filter_map(|subscription| subscription.listening.as_ref())
                .filter(|listening| listening.ear == Ear::Open)
                .map(|listening| Arc::clone(&listening.subscriber))
                .collect(),
        };
        if listening.is_empty() {
            return;
        }
        let notice = Notice {
            event: make(),
            text: OnceLock::new(),
        };
        // Not under the lock: a subscriber that finds itself gone unsubscribes.
        for subscriber in listening {
            subscriber.notify(&notice);
        }
    }

    /// The sessions on whose behalf somebody listens, of one user or of all, each once.
    pub fn sessions(&self, user_id: Option<i64>) -> Vec<SessionOf> {
        let inner = self.lock();
        let users = inner.by_user.iter();
        let users = users.filter(|(user, _)| user_id.is_none_or(|wanted| wanted == **user));
        let sessions: HashSet<_> = users
            .flat_map(|(user, subscriptions)| {
                let listening = subscriptions
                    .iter()
                    .filter_map(|subscription| subscription.listening.as_ref());
                listening.map(|listening| SessionOf {
                    user_id: *user,
                    key: listening.session.clone(),
                })
            })
            .collect();
        sessions.into_iter().collect()
    }

    /// Dismisses all who listen on behalf of these sessions.
    pub fn dismiss(&self, ended: &[SessionOf]) {
        let mut dismissed = Vec::new();
        let inner = self.lock();
        for session in ended {
            let subscriptions = inner.by_user.get(&session.user_id).into_iter().flatten();
            for listening in subscriptions.filter_map(|subscription| subscription.listening.as_ref()) {
                if listening.session == session.key {
                    dismissed.push(Arc::clone(&listening.subscriber));
                }
            }
        }
        drop(inner);
        for subscriber in dismissed {
            subscriber.dismiss();
        }
    }
}

/// While this exists, those who listen know that a model writes.
pub(super) struct Typing<'t> {
    hub: &'t Hub,
    user_id: i64,
    chat_id: String,
}

impl Typing<'_> {
    pub(super) fn begin<'t>(hub: &'t Hub, user_id: i64, chat_id: &str) -> Typing<'t> {
        let chat_id = chat_id.to_owned();
        let typing = Typing { hub, user_id, chat_id };
        typing.tell(true);
        typing
    }

    fn tell(&self, is_typing: bool) {
        self.hub.publish(self.user_id, None, || Event::Typing {
            chat_id: self.chat_id.clone(),
            sender: Role::Assistant,
            is_typing,
        });
    }
}

impl Drop for Typing<'_> {
    fn drop(&mut self) {
        self.tell(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts what it hears.
    #[derive(Default)]
    struct Counter {
        heard: Mutex<Vec<String>>,
        dismissals: Mutex<usize>,
    }

    impl Subscriber for Counter {
        fn notify(&self, notice: &Notice) {
            let text = notice.text(|event| format!("{event:?}"));
            self.heard.lock().unwrap().push(text.to_owned());
        }

        fn dismiss(&self) {
            *self.dismissals.lock().unwrap() += 1;
        }
    }

    fn local(id: &str) -> SessionKey {
        SessionKey::Local(id.to_owned())
    }

    fn subscribe(hub: &Hub, user_id: i64, session: &str) -> (SubscriptionId, Arc<Counter>) {
        let (id, ear) = (hub.reserve(user_id).unwrap(), Arc::new(Counter::default()));
        hub.subscribe(user_id, id, local(session), Arc::clone(&ear) as Arc<dyn Subscriber>);
        (id, ear)
    }

    fn typing() -> Event {
        Event::Typing {
            chat_id: "c".into(),
            sender: Role::User,
            is_typing: true,
        }
    }

    fn heard(ear: &Counter) -> usize {
        ear.heard.lock().unwrap().len()
    }

    #[test]
    fn events_reach_their_user_and_not_who_sent_them() {
        let hub = Hub::default();
        let (from, first) = subscribe(&hub, 1, "a");
        let (_, second) = subscribe(&hub, 1, "b");
        let (_, stranger) = subscribe(&hub, 2, "c");
        hub.publish(1, Some(from), typing);
        assert_eq!((heard(&first), heard(&second), heard(&stranger)), (0, 1, 0));
        hub.publish(1, None, typing);
        assert_eq!((heard(&first), heard(&second), heard(&stranger)), (1, 2, 0));
        hub.unsubscribe(1, from);
        hub.publish(1, None, typing);
        assert_eq!((heard(&first), heard(&second)), (1, 3));
    }

    #[test]
    fn an_event_that_nobody_hears_is_not_made() {
        let hub = Hub::default();
        let (id, _ear) = subscribe(&hub, 1, "a");
        hub.publish(2, None, || panic!("made for nobody"));
        hub.publish(1, Some(id), || panic!("made for its sender"));
        assert!(hub.has_listeners(1) && !hub.has_listeners(2));
        hub.unsubscribe(1, id);
        hub.publish(1, None, || panic!("made for nobody"));
        assert!(!hub.has_listeners(1));
    }

    #[test]
    fn a_user_has_so_many_places_and_no_more() {
        let hub = Hub::default();
        let places: Vec<_> = (0..PER_USER_MAX).map(|_| hub.reserve(1).unwrap()).collect();
        assert_eq!(hub.reserve(1), None);
        assert!(hub.reserve(2).is_some());
        // A place that is only kept hears nothing.
        assert!(!hub.has_listeners(1) && hub.sessions(None).is_empty());
        hub.publish(1, None, || panic!("made for nobody"));
        for _ in 0..2 {
            hub.unsubscribe(1, places[7]);
        }
        let (_, ear) = subscribe(&hub, 1, "a");
        assert_eq!(hub.reserve(1), None);
        hub.publish(1, None, typing);
        assert_eq!(heard(&ear), 1);
    }

    #[test]
    fn who_only_watches_its_session_hears_nothing_else() {
        let hub = Hub::default();
        let (id, ear) = (hub.reserve(1).unwrap(), Arc::new(Counter::default()));
        hub.watch(1, id, local("a"), Arc::clone(&ear) as Arc<dyn Subscriber>);
        assert!(!hub.has_listeners(1));
        hub.publish(1, None, || panic!("made for nobody"));
        hub.dismiss(&hub.sessions(None));
        assert_eq!((heard(&ear), *ear.dismissals.lock().unwrap()), (0, 1));
    }

    #[test]
    fn an_event_is_written_once() {
        let notice = Notice {
            event: typing(),
            text: OnceLock::new(),
        };
        assert_eq!(notice.text(|_| "first".into()), "first");
        assert_eq!(notice.text(|_| panic!("written twice")), "first");
    }

    #[test]
    fn all_of_a_session_are_dismissed_and_nobody_else() {
        let hub = Hub::default();
        let ears = [(1, "a"), (1, "a"), (1, "b"), (2, "c")].map(|(user, session)| subscribe(&hub, user, session).1);
        assert_eq!((hub.sessions(None).len(), hub.sessions(Some(1)).len()), (3, 2));
        hub.dismiss(&[SessionOf {
            user_id: 1,
            key: local("a"),
        }]);
        let dismissals = ears.map(|ear| *ear.dismissals.lock().unwrap());
        assert_eq!(dismissals, [1, 1, 0, 0]);
    }
}
