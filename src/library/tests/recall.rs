//! How well questions find their book, over `examples/books.json`, beside what SQLite's BM25 does by itself.

use serde::Deserialize;

use super::Shelf;
use crate::library::{Added, NewText, parse_books, search};
use crate::store::FoundChunk;
use crate::store::tests::Rig;

const BOOKS: &[u8] = include_bytes!("../../../examples/books.json");
const QUESTIONS: &str = include_str!("../../../tests/data/questions.json");

/// Books that are looked at.
const FIRST: usize = 5;

/// What somebody might ask, and the title of the book that they have in mind.
#[derive(Deserialize)]
struct Question {
    question: String,
    title: String,
}

fn books() -> Vec<NewText> {
    let books = parse_books(BOOKS, 1_000).unwrap();
    books.into_iter().map(|book| book.into_text(None)).collect()
}

fn questions() -> Vec<Question> {
    serde_json::from_str(QUESTIONS).unwrap()
}

/// The share of questions whose book is among the first found, and those that miss it.
fn recall(find: impl Fn(&str) -> Vec<String>) -> (f64, f64, Vec<String>) {
    let questions = questions();
    let (mut first, mut best, mut missed) = (0, 0, Vec::new());
    for Question { question, title } in &questions {
        let mut titles = find(question);
        titles.dedup();
        titles.truncate(FIRST);
        best += usize::from(titles.first() == Some(title));
        if titles.contains(title) {
            first += 1;
        } else {
            missed.push(format!("{question}\n    wanted {title}, found {titles:?}"));
        }
    }
    let share = |count: usize| count as f64 / questions.len() as f64;
    (share(first), share(best), missed)
}

fn distinct(chunks: impl Iterator<Item = FoundChunk>) -> Vec<String> {
    let mut titles = Vec::new();
    for chunk in chunks {
        if !titles.contains(&chunk.title) {
            titles.push(chunk.title);
        }
    }
    titles
}

/// Whole documents, SQLite's tokenizer as it comes, all words of the question, its own ranking.
fn plain_bm25(books: &[NewText]) -> impl Fn(&str) -> Vec<String> {
    let plain = Rig::new();
    plain.batch("CREATE VIRTUAL TABLE plain USING fts5 (title, author, text)");
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    for book in books {
        let author = book.author.as_deref().unwrap_or_default();
        let row = [&book.title, author, &book.content].map(quoted).join(", ");
        plain.batch(&format!("INSERT INTO plain VALUES ({row})"));
    }
    move |question| {
        let words = question
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty());
        let query: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
        let found: Option<String> = plain.value(&format!(
            "SELECT group_concat(title, char(10)) FROM
                 (SELECT title FROM plain WHERE plain MATCH '{}' ORDER BY rank LIMIT 5)",
            query.join(" OR ")
        ));
        found
            .iter()
            .flat_map(|titles| titles.lines())
            .map(str::to_owned)
            .collect()
    }
}

#[test]
fn questions_find_their_book() {
    let shelf = Shelf::new();
    let books = books();
    assert!(books.len() >= 60 && questions().len() >= 50);
    for book in &books {
        assert!(matches!(shelf.add(shelf.ann, book).unwrap(), Added::New(_)));
    }
    let find = |question: &str| {
        let passages = search(&shelf.store, shelf.ann, question, 2 * FIRST).unwrap();
        distinct(passages.into_iter().map(|passage| passage.chunk))
    };
    let (ours, ours_best, missed) = recall(find);
    let (plain, plain_best, _) = recall(plain_bm25(&books));
    println!("{} questions over {} books", questions().len(), books.len());
    println!("the library:                      recall@5 {ours:.3}, first {ours_best:.3}");
    println!("plain BM25 over whole documents:  recall@5 {plain:.3}, first {plain_best:.3}");
    println!("missed:\n  {}", missed.join("\n  "));
    assert!(ours >= 0.9, "recall@5 is {ours:.3}");
    assert!(ours >= plain && ours_best >= plain_best, "plain BM25 is better");

    // A neighbour's library changes nothing: neither what is found nor in which order.
    let before: Vec<Vec<String>> = questions().iter().map(|question| find(&question.question)).collect();
    for number in 0..20 {
        let content = books
            .iter()
            .map(|book| book.content.as_str())
            .collect::<Vec<_>>()
            .join("\n\n");
        let title = format!("Collected works {number}");
        let text = NewText {
            title,
            content,
            ..NewText::default()
        };
        shelf.add(shelf.bob, &text).unwrap();
    }
    let (again, _, _) = recall(find);
    let same = questions()
        .iter()
        .zip(&before)
        .filter(|(question, before)| find(&question.question).first() == before.first())
        .count();
    assert!(again >= 0.9, "recall@5 fell to {again:.3}");
    assert!(
        same * 20 >= before.len() * 19,
        "only {same} questions find the same book first"
    );
}
