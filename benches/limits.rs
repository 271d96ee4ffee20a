//! The release server beside what bounds it, in one run and in turn: a message that is sent durably over HTTP beside the
//! store's own work for it in groups on the same disk; a page of messages beside its query and its JSON in this process.
//! Prints a table and asserts nothing. (`GET /health` beside the smallest server is another program, `health`.)

#[expect(dead_code, reason = "rows are other ones here")]
mod load;

use std::borrow::Cow;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fireside::clock::Clock;
use fireside::models::{ModelsConfig, Registry};
use fireside::pricing::Pricing;
use fireside::store::{
    Admin, Branch, Location, Message, MessageDetails, NewConversation, NewUser, Ref, Role, SharedStore, State, Store,
    database_path, find_conversation, find_user_by_id, insert_conversation, insert_user, list_branch,
};
use fireside::turn::{Admission, Ask, Hub, Limits, Opening, Target, Turns};
use serde::Serialize;
use serde_json::{Value, json};

use load::{DATA, Figures, Folder, Outcome, Round, Server, cpu_time, measure, median};

/// Open connections, each with a request under way, and sends in one transaction of the limit.
const CONNECTIONS: usize = 64;

const ROUNDS: usize = 5;

/// How long a limit is measured in each round.
const ROUND_TIME: Duration = Duration::from_secs(3);

/// Messages of the page: ten questions and their replies.
const PAGE: i64 = 20;

const TEXT: &str = "What is the difference between a fjord and a bay, and which of the two is deeper?";

fn main() -> Outcome<()> {
    if !std::env::args().any(|word| word == "--bench") {
        // `cargo test --benches`: there is nothing to test.
        return Ok(());
    }
    let folder = Folder::make()?;
    let server = Server::fireside(&folder)?;
    let desk = Desk::new(&server)?;
    let alone = Alone::new(&folder)?;
    let page = ShownPage::new(&folder, &desk)?;
    let (mut sends, mut pages): (Vec<Round>, Vec<Round>) = Default::default();
    let (mut alone_per_s, mut alone_us, mut page_us) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        sends.push(measure(&server, &desk.sends(&server)?)?);
        let (per_s, us) = alone.measure()?;
        alone_per_s.push(per_s);
        alone_us.push(us);
        pages.push(measure(&server, &vec![desk.page.clone(); CONNECTIONS])?);
        page_us.push(page.measure()?);
    }
    let (sends, pages) = (Figures::new(sends), Figures::new(pages));
    report(&sends, &pages, [median(alone_per_s), median(alone_us), median(page_us)]);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn report(sends: &Figures, pages: &Figures, [alone_per_s, alone_us, page_us]: [f64; 3]) {
    println!("| | Fireside, {CONNECTIONS} connections | its limit | ratio | p50 ms | p99 ms |");
    println!("|---|--:|--:|--:|--:|--:|");
    let row = |name: &str, figures: &Figures, ours: f64, limit: f64| {
        let (ratio, p50, p99) = (ours / limit, figures.us(50) / 1e3, figures.us(99) / 1e3);
        println!("| {name} | {ours:.1} | {limit:.1} | {ratio:.2} | {p50:.1} | {p99:.1} |");
    };
    let cpu = |figures: &Figures| figures.cpu_us.unwrap_or(f64::NAN);
    row(
        "durable sends/s; the store's own work for 64 in one transaction",
        sends,
        sends.requests_per_s,
        alone_per_s,
    );
    row("CPU µs of one; the same", sends, cpu(sends), alone_us);
    row(
        "CPU µs of a page of 20 messages; its query and JSON",
        pages,
        cpu(pages),
        page_us,
    );
}

/// Somebody with conversations on the server.
struct Desk {
    token: String,
    chats: Vec<String>,
    /// The request for the page.
    page: Vec<u8>,
    /// What it answers.
    shown: String,
    /// The conversation that is shown.
    chat: String,
}

impl Desk {
    fn new(server: &Server) -> Outcome<Desk> {
        let ask = |target: &str, token: Option<&str>, body: &Value| -> Outcome<Value> {
            let answer = server.answer(&server.request(target, token, Some(&body.to_string())))?;
            Ok(serde_json::from_str(&answer)?)
        };
        let account = json!({ "email": "ann@example.com", "password": "the password of ann" });
        let token = text(&ask("/auth/register", None, &account)?["access_token"])?;
        let mut chats = Vec::new();
        for _ in 0..CONNECTIONS {
            let made = ask("/chats", Some(&token), &json!({ "title": "A conversation" }))?;
            chats.push(text(&made["id"])?);
        }
        let chat = text(&ask("/chats", Some(&token), &json!({ "title": "The page" }))?["id"])?;
        for _ in 0..PAGE / 2 {
            ask("/chat", Some(&token), &json!({ "chat_id": chat, "message": TEXT }))?;
        }
        let page = server.request(&format!("/chats/{chat}/messages?limit={PAGE}"), Some(&token), None);
        let shown = server.answer(&page)?;
        Ok(Desk {
            token,
            chats,
            page,
            shown,
            chat,
        })
    }

    /// A message for each of the conversations.
    fn sends(&self, server: &Server) -> Outcome<Vec<Vec<u8>>> {
        let send = |chat: &String| {
            let body = json!({ "chat_id": chat, "message": TEXT, "model": "echo" }).to_string();
            Ok(server.request("/chat", Some(&self.token), Some(&body)))
        };
        self.chats.iter().map(send).collect()
    }
}

fn text(value: &Value) -> Outcome<String> {
    Ok(value.as_str().ok_or_else(|| format!("{value} is no text"))?.to_owned())
}

/// The store without a server around it, in a folder beside the server's.
struct Alone {
    store: SharedStore,
    turns: Turns,
    asks: Vec<Ask>,
}

impl Alone {
    fn new(folder: &Folder) -> Outcome<Alone> {
        let place = folder.place("alone");
        fs::create_dir_all(&place)?;
        let store = Arc::new(Store::open(&location(place))?);
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
        let id = store.write(move |tx| insert_user(tx, &new))?.id;
        let user = store
            .read(|read| find_user_by_id(read, id))?
            .ok_or("the user is gone")?;
        let models = Registry::new(ModelsConfig::default())?;
        let mut asks = Vec::new();
        for _ in 0..CONNECTIONS {
            let new = NewConversation {
                user_id: user.id,
                uuid: Clock.uuid(),
                title: Some("A conversation".into()),
                created_at: Clock.now().text(),
            };
            let conversation = store.write(move |tx| {
                let id = insert_conversation(tx, &new)?;
                find_conversation(tx, new.user_id, &Ref::Id(id))
            })?;
            let choice = models.resolve(Some("echo")).map_err(|_| "there is no echo")?;
            asks.push(Ask {
                user: user.clone(),
                to: Target::opened_by(Opening::Message, conversation),
                text: TEXT.to_owned(),
                attachments: Vec::new(),
                choice,
                library: None,
                admission: Admission::default(),
                prompt: None,
                details: MessageDetails::default(),
                queue: false,
            });
        }
        let limits = Limits {
            turns_max: 1,
            context_messages: 1,
        };
        let pricing = Arc::new(Pricing::built_in()?);
        let turns = Turns::new(Arc::clone(&store), Arc::new(Hub::default()), pricing, Clock, limits);
        Ok(Alone { store, turns, asks })
    }

    /// Sends in a second, and the processor's microseconds for one. What they write is made before the clock runs.
    fn measure(&self) -> Outcome<(f64, f64)> {
        let (mut took, mut cpu, mut sends) = (Duration::ZERO, Duration::ZERO, 0);
        while took < ROUND_TIME {
            let mut groups = Vec::new();
            for _ in 0..16 {
                let jobs = self.asks.iter().map(|ask| self.turns.instant_job(ask));
                let jobs: Vec<_> = jobs.collect::<Result<_, _>>().map_err(|_| "echo does not answer")?;
                groups.push(jobs);
            }
            let (begin, cpu_before) = (Instant::now(), cpu_time(std::process::id()));
            for jobs in groups {
                sends += jobs.len();
                self.store.write(move |tx| jobs.iter().try_for_each(|job| job(tx)))?;
            }
            took += begin.elapsed();
            let cpu_after = cpu_time(std::process::id());
            cpu += cpu_after
                .zip(cpu_before)
                .map_or(Duration::ZERO, |(after, before)| after - before);
        }
        let sends = f64::from(u32::try_from(sends)?);
        Ok((sends / took.as_secs_f64(), cpu.as_secs_f64() * 1e6 / sends))
    }
}

fn location(folder: std::path::PathBuf) -> Location {
    Location {
        database: database_path(&folder),
        folder,
    }
}

/// The page's conversation, read in this process from the server's own file.
struct ShownPage {
    store: Store,
    owner: i64,
    chat: Ref,
    uuid: String,
}

/// A message as the server's page has it.
#[derive(Serialize)]
struct View<'m> {
    id: i64,
    chat_id: &'m str,
    role: &'static str,
    content: String,
    created_at: String,
    r#type: Cow<'static, str>,
    sender: &'static str,
    timestamp: String,
    status: Cow<'static, str>,
    media_urls: Value,
    reply_to_id: Option<String>,
    importance_level: Cow<'static, str>,
    state: &'static str,
    model: Option<String>,
    error: Option<String>,
}

impl<'m> View<'m> {
    fn new(message: Message, chat_id: &'m str) -> View<'m> {
        let media_urls = message.media_urls.and_then(|urls| serde_json::from_str(&urls).ok());
        View {
            id: message.id,
            chat_id,
            role: message.role.name(),
            content: message.content,
            timestamp: message.created_at.clone(),
            created_at: message.created_at,
            r#type: message.kind,
            sender: match message.role {
                Role::User => "user",
                Role::Assistant => "ai",
            },
            status: message.status,
            media_urls: media_urls.unwrap_or_else(|| json!([])),
            reply_to_id: message.reply_to_id,
            importance_level: message.importance_level,
            state: State::name(message.state),
            model: message.model,
            error: message.error,
        }
    }
}

impl ShownPage {
    /// # Errors
    /// Also when what comes out is not what the server says, byte by byte.
    fn new(folder: &Folder, desk: &Desk) -> Outcome<ShownPage> {
        let page = ShownPage {
            store: Store::open(&location(folder.place(DATA)))?,
            owner: 1,
            chat: Ref::Uuid(desk.chat.clone()),
            uuid: desk.chat.clone(),
        };
        let made = String::from_utf8(page.make()?)?;
        if made == desk.shown {
            Ok(page)
        } else {
            Err(format!("the server says\n{}\nand not\n{made}", desk.shown).into())
        }
    }

    fn make(&self) -> Outcome<Vec<u8>> {
        let messages = self.store.read(|read| {
            let conversation = find_conversation(read, self.owner, &self.chat)?;
            let branch = Branch {
                conversation_id: conversation.id,
                leaf_id: conversation.leaf_id,
                before: None,
                limit: PAGE,
            };
            list_branch(read, &branch)
        })?;
        let views = messages.into_iter().map(|message| View::new(message, &self.uuid));
        Ok(serde_json::to_vec(&views.collect::<Vec<_>>())?)
    }

    /// The processor's microseconds for one.
    fn measure(&self) -> Outcome<f64> {
        let (begin, cpu_before) = (Instant::now(), cpu_time(std::process::id()));
        let mut pages = 0;
        while begin.elapsed() < ROUND_TIME {
            std::hint::black_box(self.make()?);
            pages += 1;
        }
        let cpu = cpu_time(std::process::id()).zip(cpu_before);
        let cpu = cpu.map_or(f64::NAN, |(after, before)| (after - before).as_secs_f64());
        Ok(cpu * 1e6 / f64::from(pages))
    }
}
