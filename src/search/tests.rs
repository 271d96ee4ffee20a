//! Searching against a plain look at every text: the same is found, page by page, each once.

use std::collections::BTreeSet;

use super::*;
use crate::clock::{Clock, Moment};
use crate::patience::until;
use crate::store::tests::Rig;
use crate::store::{MessageDetails, NewConversation, NewMessage, Role, State};
use crate::words::{fold, words};

/// Numbers that are as good as random, and the same in every run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).unwrap() % count
    }

    /// The first ones more often than the last.
    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        let at = self.below(from.len()).min(self.below(from.len()));
        from[at]
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

const WORDS: [&str; 12] = [
    "sea",
    "white",
    "whale",
    "Ahab",
    "whales",
    "seaman",
    "Résumé",
    "white's",
    "吾輩は",
    "x",
    "file_name",
    "rare",
];
const MODELS: [&str; 4] = ["echo", "maker/Small", "maker/big:1.5", "other/small"];
const TITLES: [&str; 3] = ["The white sea", "Ahab", "Rare things"];
const DAYS: [&str; 4] = ["2023-12-31", "2024-01-01", "2024-02-29", "2026-07-04"];
const MESSAGES: usize = 2_500;

struct Said {
    id: i64,
    owner: i64,
    conversation: usize,
    role: Role,
    model: Option<&'static str>,
    day: &'static str,
    text: String,
}

/// A store in which two people have said much, each message's words drawn from a few.
struct Sea {
    rig: Rig,
    conversations: Vec<(i64, i64)>,
    said: Vec<Said>,
}

impl Sea {
    fn new() -> Sea {
        let rig = Rig::new();
        let owners = [rig.user("ann").id, rig.user("bob").id];
        let mut dice = Dice(88_172_645_463_325_252);
        let mut conversations = Vec::new();
        for owner in owners {
            for title in TITLES {
                let new = NewConversation {
                    user_id: owner,
                    uuid: Clock.uuid(),
                    title: Some(title.into()),
                    created_at: Moment::parse_day("2024-01-01").unwrap().text(),
                };
                let id = rig.write(move |tx| store::insert_conversation(tx, &new)).unwrap();
                conversations.push((id, owner));
            }
        }
        let all: Vec<Said> = (0..MESSAGES).map(|_| say(&mut dice, &conversations)).collect();
        let rows: Vec<NewMessage> = all
            .iter()
            .map(|said| row(said, conversations[said.conversation].0))
            .collect();
        let ids: Vec<i64> = rig
            .write(move |tx| {
                rows.iter()
                    .map(|row| store::insert_message(tx, row, None, None))
                    .collect()
            })
            .unwrap();
        let said = all.into_iter().zip(ids).map(|(said, id)| Said { id, ..said }).collect();
        let sea = Sea {
            rig,
            conversations,
            said,
        };
        until("everything is indexed", || {
            sea.rig.value::<i64>("SELECT count(*) FROM search_queue") == 0
        });
        sea
    }

    /// The ids of the messages on all pages, in their order.
    fn found(&self, owner: i64, text: &str, limit: i64) -> Vec<i64> {
        let query = Query::parse(text).unwrap();
        let mut ids = Vec::new();
        for offset in (0..).step_by(usize::try_from(limit).unwrap()) {
            let page = search(&self.rig, owner, &query, Page { limit, offset }).unwrap();
            let is_last = page.len() < usize::try_from(limit).unwrap();
            ids.extend(page.iter().map(|found| match found {
                Found::Message(message, _) => message.id,
                Found::Conversation(..) | Found::Document(..) => panic!("{text} found {found:?}"),
            }));
            if is_last {
                return ids;
            }
        }
        unreachable!("pages end")
    }
}

fn say(dice: &mut Dice, conversations: &[(i64, i64)]) -> Said {
    let conversation = dice.below(conversations.len());
    let is_reply = dice.one_in(2);
    let count = 1 + dice.below(7);
    let text: Vec<&str> = (0..count).map(|_| dice.pick(&WORDS)).collect();
    let separator = if dice.one_in(3) { ", " } else { " " };
    Said {
        id: 0,
        owner: conversations[conversation].1,
        conversation,
        role: if is_reply { Role::Assistant } else { Role::User },
        model: is_reply.then(|| dice.pick(&MODELS)),
        day: DAYS[dice.below(DAYS.len())],
        text: text.join(separator),
    }
}

fn row(said: &Said, conversation_id: i64) -> NewMessage {
    NewMessage {
        uuid: Clock.uuid(),
        conversation_id,
        user_id: said.owner,
        role: said.role,
        content: said.text.clone(),
        state: State::Complete,
        model: said.model.map(str::to_owned),
        error: None,
        created_at: Moment::parse_day(said.day).unwrap().plus_s(86_399).text(),
        details: MessageDetails::default(),
    }
}

/// Whether words stand in a text one after the other, where `is_prefix` the last as a beginning.
fn stand(text: &str, sought: &str, is_prefix: bool) -> bool {
    let folded = |text: &str| -> Vec<String> { words(text).into_iter().map(fold).collect() };
    let (text, sought) = (folded(text), folded(sought));
    let (last, others) = sought.split_last().unwrap();
    text.windows(sought.len()).any(|there| {
        let (end, begin) = there.split_last().unwrap();
        begin == others && (end == last || is_prefix && end.starts_with(last.as_str()))
    })
}

/// A question as it is typed, and as it is meant.
#[derive(Default)]
struct Question {
    typed: Vec<String>,
    /// Words, and whether the last goes on.
    phrases: Vec<(String, bool)>,
    model: Option<&'static str>,
    role: Option<Role>,
    title: Option<&'static str>,
    from: Option<&'static str>,
    until: Option<&'static str>,
}

impl Question {
    fn ask(dice: &mut Dice) -> Question {
        let mut question = Question::default();
        if dice.one_in(3) {
            let model = MODELS[dice.below(MODELS.len())];
            let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
            let named = if dice.one_in(2) { model } else { name };
            question.typed.push(format!("model:{}", named.to_uppercase()));
            question.model = Some(named);
        }
        if dice.one_in(3) {
            let role = [Role::User, Role::Assistant][dice.below(2)];
            question.typed.push(format!("role:{}", role.name()));
            question.role = Some(role);
        }
        if dice.one_in(3) {
            let title = TITLES[dice.below(TITLES.len())];
            question.typed.push(format!("in:\"{title}\""));
            question.title = Some(title);
        }
        if dice.one_in(3) {
            let day = DAYS[dice.below(DAYS.len())];
            question.typed.push(format!("after:{day}"));
            question.from = Some(day);
        }
        if dice.one_in(3) {
            let day = DAYS[dice.below(DAYS.len())];
            question.typed.push(format!("Before:{day}"));
            question.until = Some(day);
        }
        let count = dice.below(3) + usize::from(question.typed.is_empty());
        for at in 0..count {
            let words: Vec<&str> = (0..=dice.below(2)).map(|_| dice.pick(&WORDS)).collect();
            let is_quoted = words.len() > 1 || dice.one_in(3);
            let mut text = words.join(" ");
            let is_last = at + 1 == count;
            if is_last && !is_quoted && dice.one_in(2) {
                text = text.chars().take(3).collect();
            }
            let is_prefix = is_last && !is_quoted && (text.len() > 2 || !text.is_ascii());
            question
                .typed
                .push(if is_quoted { format!("\"{text}\"") } else { text.clone() });
            question.phrases.push((text, is_prefix));
        }
        // Only messages: titles hold these words too.
        question.typed.insert(0, "in:messages".into());
        question
    }

    fn fits(&self, said: &Said) -> bool {
        let is_of = |model: &str| {
            let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
            self.model
                .is_some_and(|wanted| [model, name].iter().any(|is| is.eq_ignore_ascii_case(wanted)))
        };
        self.phrases
            .iter()
            .all(|(text, is_prefix)| stand(&said.text, text, *is_prefix))
            && (self.model.is_none() || said.model.is_some_and(is_of))
            && self.role.is_none_or(|role| role == said.role)
            && self
                .title
                .is_none_or(|title| TITLES[said.conversation % TITLES.len()] == title)
            && self.from.is_none_or(|day| said.day >= day)
            && self.until.is_none_or(|day| said.day < day)
    }
}

#[test]
fn what_is_found_is_what_a_look_at_everything_finds() {
    let sea = Sea::new();
    let mut dice = Dice(2_463_534_242);
    let (mut most, mut none) = (0, 0);
    for _ in 0..300 {
        let question = Question::ask(&mut dice);
        let typed = question.typed.join(" ");
        let owner = sea.conversations[dice.below(sea.conversations.len())].1;
        let fitting = sea
            .said
            .iter()
            .filter(|said| said.owner == owner && question.fits(said));
        let wanted: BTreeSet<i64> = fitting.map(|said| said.id).collect();
        let found = sea.found(owner, &typed, 100);
        let distinct: BTreeSet<i64> = found.iter().copied().collect();
        assert_eq!(found.len(), distinct.len(), "{typed}: something came twice");
        assert_eq!(distinct, wanted, "{typed}");
        most = most.max(found.len());
        none += usize::from(found.is_empty());
    }
    assert!(most > 1_000, "no question went beyond what is ranked: {most}");
    assert!(none < 200, "{none} questions found nothing");
}

#[test]
fn pages_of_any_size_are_parts_of_the_same_list() {
    let sea = Sea::new();
    let owner = sea.conversations[0].1;
    for typed in ["sea", "whi", "role:user", "rare in:messages"] {
        let typed = format!("in:messages {typed}");
        let whole = sea.found(owner, &typed, 100);
        assert_eq!(sea.found(owner, &typed, 37), whole, "{typed}");
    }
}

#[test]
fn documents_come_once_with_their_best_part() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let chapter = |word: &str| format!("# Of {word}\n\nNothing here. {}\n\n", "More of the sea. ".repeat(60));
    for number in 0..30 {
        let text = crate::library::NewText {
            title: format!("Log {number}"),
            content: (0..5).map(|part| chapter(&format!("whale {part}"))).collect::<String>()
                + "# Best\n\nwhale whale whale",
            ..crate::library::NewText::default()
        };
        crate::library::add(&rig, &Clock, ann, &text).unwrap();
    }
    let pages = |text: &str, limit: i64| -> Vec<(i64, String)> {
        let query = Query::parse(text).unwrap();
        let page = |offset| search(&rig, ann, &query, Page { limit, offset }).unwrap();
        let found = (0..40 / limit).flat_map(|number| page(number * limit));
        let document = |found| match found {
            Found::Document(chunk, _) => (chunk.document_id, chunk.text),
            Found::Message(..) | Found::Conversation(..) => panic!("no document"),
        };
        found.map(document).collect()
    };
    for (text, is_best) in [("whales", true), ("whal in:documents", true), ("in:documents", false)] {
        let found = pages(text, 8);
        let ids: BTreeSet<i64> = found.iter().map(|(id, _)| *id).collect();
        assert_eq!((found.len(), ids.len()), (30, 30), "{text}");
        assert_eq!(
            found.iter().all(|(_, text)| text.contains("whale whale whale")),
            is_best,
            "{text}"
        );
        assert_eq!(pages(text, 40), found, "{text}");
    }
    assert_eq!(pages("whale after:2999", 40), []);
    assert_eq!(pages("in:documents before:2000", 40), []);
    assert_eq!(pages("whale role:user", 40), []);
}

#[test]
fn words_as_they_were_typed_come_first() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let conversation = rig.conversation(ann, 1);
    for text in [
        "a whale, and it is white",
        "the white whale",
        "white whales, all of them",
        "white or not, whales are whales",
        "white whale white whale white whale",
    ] {
        rig.message(conversation, ann, text);
    }
    until("everything is indexed", || {
        rig.value::<i64>("SELECT count(*) FROM search_queue") == 0
    });
    let query = Query::parse("white whale").unwrap();
    let found = search(&rig, ann, &query, Page { limit: 10, offset: 0 }).unwrap();
    let texts: Vec<&str> = found
        .iter()
        .map(|found| match found {
            Found::Message(message, _) => message.content.as_str(),
            Found::Conversation(..) | Found::Document(..) => panic!("no message"),
        })
        .collect();
    assert_eq!(
        texts,
        [
            "white whale white whale white whale",
            "the white whale",
            "a whale, and it is white",
            "white whales, all of them",
            "white or not, whales are whales",
        ]
    );
}

#[test]
fn a_beginning_of_too_many_words_is_taken_as_it_stands() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let conversation = rig.conversation(ann, 1);
    for number in 0..600 {
        rig.message(conversation, ann, &format!("whale{number}"));
    }
    rig.message(conversation, ann, "a whale");
    until("everything is indexed", || {
        rig.value::<i64>("SELECT count(*) FROM search_queue") == 0
    });
    let minute = Duration::from_secs(60);
    let found = |text: &str, times| {
        let query = Query::parse(text).unwrap();
        search_in(times, &rig, ann, &query, Page { limit: 100, offset: 0 }).map(|found| found.len())
    };
    assert_eq!(found("whale", [minute, Duration::ZERO]).unwrap(), 100);
    assert_eq!(found("whale", [Duration::ZERO, minute]).unwrap(), 1);
    let Err(Refusal::Store(error)) = found("whale", [Duration::ZERO; 2]) else {
        panic!("it was found in no time");
    };
    assert!(store::is_stopped(&error), "{error}");
}

#[test]
fn a_title_that_very_many_have_stands_for_all_of_them_or_is_refused() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let oldest = rig.conversation(ann, 1);
    rig.message(oldest, ann, "the first whale");
    let title = |count: usize| {
        rig.batch(&format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
             INSERT INTO conversations (uuid, user_id, title, created_at, updated_at)
             SELECT printf('%d-%d', {count}, i), {ann}, 'New chat', '2026-03-01', '' FROM n"
        ));
        until("everything is indexed", || {
            rig.value::<i64>("SELECT count(*) FROM search_queue") == 0
        });
    };
    rig.batch("UPDATE conversations SET title = 'New chat'");
    let found = || {
        let query = Query::parse("whale in:\"New chat\"").unwrap();
        search(&rig, ann, &query, Page { limit: 10, offset: 0 }).map(|found| found.len())
    };
    title(CONVERSATIONS_MAX - 1);
    assert_eq!(found().unwrap(), 1);
    title(1);
    let Err(Refusal::Filter(bad)) = found() else {
        panic!("more conversations than are taken");
    };
    assert!(bad.0.contains(&CONVERSATIONS_MAX.to_string()), "{bad:?}");
}
