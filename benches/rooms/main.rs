//! What each room of the house takes by itself, in this process: `cargo bench --bench rooms`, or `-- NAME` for some of it.
//! Whether that is much is told by the other benches, which measure the whole server beside something else.

#![expect(clippy::unwrap_used, reason = "a measurement fails by panicking")]

mod context;
mod engine;
mod render;
#[path = "../sea/mod.rs"]
#[expect(dead_code, reason = "here divan asks")]
mod sea;
mod search;
mod store;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fireside::clock::{Clock, Moment};
use fireside::store::{
    Admin, Conversation, Location, MessageDetails, NewConversation, NewMessage, NewUser, Ref, Role, SharedStore, State,
    Store, User, database_path, find_conversation, insert_conversation, insert_message, insert_user,
};

fn main() {
    // `cargo test --benches`: there is nothing to test.
    if std::env::args().any(|word| word == "--bench") {
        divan::main();
    }
}

/// A store in a folder of its own, which goes away with it, and somebody who keeps something there.
struct Desk {
    store: SharedStore,
    user: User,
    folder: PathBuf,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.store.close();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

impl Desk {
    fn new() -> Desk {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("fireside-rooms-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let location = Location {
            database: database_path(&folder),
            folder: folder.clone(),
        };
        let store = Arc::new(Store::open(&location).unwrap());
        let new = NewUser {
            uuid: Clock.uuid(),
            external_id: None,
            username: Some("ann".into()),
            email: None,
            display_name: None,
            password_hash: None,
            admin: Admin::No,
            created_at: Clock.now().text(),
        };
        let user = store.write(move |tx| insert_user(tx, &new)).unwrap();
        Desk { store, user, folder }
    }

    /// A conversation of so many messages.
    fn conversation(&self, messages: usize) -> Conversation {
        let new = NewConversation {
            user_id: self.user.id,
            uuid: Clock.uuid(),
            title: Some("A conversation".into()),
            created_at: Clock.now().text(),
        };
        let user_id = self.user.id;
        let made = self.store.write(move |tx| {
            let id = insert_conversation(tx, &new)?;
            for number in 0..messages {
                insert_message(tx, &message(id, user_id, number), None, None)?;
            }
            find_conversation(tx, user_id, &Ref::Id(id))
        });
        made.unwrap()
    }
}

/// A question or, every other time, a reply.
fn message(conversation_id: i64, user_id: i64, number: usize) -> NewMessage {
    let (role, text) = if number.is_multiple_of(2) {
        (
            Role::User,
            "What is the difference between a fjord and a bay?".to_owned(),
        )
    } else {
        (
            Role::Assistant,
            "A fjord is deep, narrow and was cut by ice. ".repeat(10),
        )
    };
    let minute = u32::try_from(number).unwrap_or(u32::MAX);
    let at = Moment::from_seconds(1_750_000_000.0 + 60.0 * f64::from(minute));
    NewMessage {
        uuid: Clock.uuid(),
        conversation_id,
        user_id,
        role,
        content: text,
        state: State::Complete,
        model: None,
        error: None,
        created_at: at.unwrap_or(Clock.now()).text(),
        details: MessageDetails::default(),
    }
}
